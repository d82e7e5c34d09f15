// A training sequence: ids and which of them are trained. Cut to the limits, counted, and made into a group.

using PeftAlign.Abstractions;

namespace PeftAlign.Models.Rows;

/// <summary>A sequence of SFT, before or after truncation.</summary>
/// <param name="Ids">Token ids.</param>
/// <param name="Trained">For each, whether its log-prob counts; the first is never predicted, whatever stands here.</param>
/// <param name="Prompt">How many first ids are a prompt of their own; 0 for plain texts and conversations.</param>
public sealed record SequenceTokens(int[] Ids, bool[] Trained, int Prompt = 0)
{
    /// <summary>Tokens whose log-prob counts in the loss: those trained that something stands before.</summary>
    public int TrainedCount => Trained.AsSpan(Math.Min(1, Trained.Length)).Count(true);

    /// <summary>The ids from <paramref name="start"/> to before <paramref name="end"/> as a sequence of its own.</summary>
    /// <param name="start">First id.</param>
    /// <param name="end">One past the last.</param>
    public SequenceTokens Piece(int start, int end) => new(Ids[start..end], Trained[start..end], Math.Clamp(Prompt - start, 0, end - start));

    /// <summary>The sequence within the prompt's limit and, unless packing is to split it, within max_length.</summary>
    /// <param name="context">Limits and the side that is kept.</param>
    public SequenceTokens Cut(PrepareContext context)
    {
        var kept = this;
        if (context.MaxPromptLength is { } most && Prompt > most)
        {
            var from = context.KeepEnd ? Prompt - most : 0;
            kept = new SequenceTokens([.. Ids[from..(from + most)], .. Ids[Prompt..]], [.. Trained[from..(from + most)], .. Trained[Prompt..]], most);
        }
        if (context.Packing is "bfd_split" or "wrapped" || kept.Ids.Length <= context.MaxLength) return kept;
        return context.KeepEnd ? kept.Piece(kept.Ids.Length - context.MaxLength, kept.Ids.Length) : kept.Piece(0, context.MaxLength);
    }

    /// <summary>The group to train; null where no token is left to train.</summary>
    public CompletionGroup? Group()
    {
        // What stands before the first trained token is prompt.
        var first = Ids.Length < 2 ? -1 : Array.IndexOf(Trained, true, 1);
        return first < 0 ? null : new CompletionGroup(Ids[..first], [new Completion(Ids[first..], Array.ConvertAll(Trained[first..], t => t ? 1f : 0f))]);
    }
}
