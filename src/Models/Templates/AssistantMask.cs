// Which tokens the assistant wrote: generation spans of a rendered chat laid over token offsets, as transformers'
// return_assistant_tokens_mask does it.
using PeftAlign.Abstractions;

namespace PeftAlign.Models.Templates;

/// <summary>Assistant masks of tokenised chats.</summary>
public static class AssistantMask
{
    /// <summary>Marks the tokens of generated spans.</summary>
    /// <param name="spans">Spans of the rendered text in code points, in order: <see cref="RenderedChat.Generated"/>.</param>
    /// <param name="offsets">
    /// Per token the code points of the text that it covers; tokens that cover none, as added special tokens, have equal ends.
    /// May be cut after any token.
    /// </param>
    /// <returns>
    /// One value per token, 1 from the token that holds a span's first code point to the first token that holds its last, both
    /// included. Where truncation cut a span's end off, all tokens from its start are 1; where it cut the start, none.
    /// </returns>
    public static int[] Compute(IReadOnlyList<CodePointSpan> spans, IReadOnlyList<CodePointSpan> offsets)
    {
        int[] mask = new int[offsets.Count];
        int from = 0;
        foreach (CodePointSpan span in spans)
        {
            if (span.End <= span.Start) continue;
            if (from < offsets.Count && offsets[from].Start > span.Start) from = 0;
            int first = TokenAt(offsets, span.Start, from);
            if (first < 0) break;                               // cut off: so are all later spans
            int last = TokenAt(offsets, span.End - 1, first);
            Array.Fill(mask, 1, first, (last > 0 ? last + 1 : mask.Length) - first);
            from = first;
        }

        return mask;
    }

    /// <summary>The first token from an index on that holds a code point, or -1; earlier tokens lie before it.</summary>
    private static int TokenAt(IReadOnlyList<CodePointSpan> offsets, int point, int from)
    {
        for (int i = from; i < offsets.Count; i++)
            if (offsets[i].Start <= point && point < offsets[i].End) return i;
        return -1;
    }
}
