// The post-processors of tokenizer.json: what is put around a text or a pair.
using PeftAlign.Models.Text.Unicode;

namespace PeftAlign.Models.Text.PostProcessors;

/// <summary>A step after the model. Rows: one per text, in order.</summary>
internal abstract class PostProcessor
{
    /// <summary>Special tokens that are added to one text or to a pair.</summary>
    public virtual int AddedTokens(bool isPair) => 0;

    /// <summary>The ids that go before and after a single text, where there is no more to it.</summary>
    public virtual bool IsWrapper(out int[] before, out int[] after)
    {
        (before, after) = ([], []);
        return false;
    }

    /// <summary>Processes the rows of one text or pair.</summary>
    public abstract List<EncodedRow> Process(List<EncodedRow> rows, bool addSpecialTokens);
}

/// <summary>Several steps, one after the other.</summary>
internal sealed class SequencePostProcessor(IReadOnlyList<PostProcessor> steps) : PostProcessor
{
    /// <summary>The steps, in order.</summary>
    public IReadOnlyList<PostProcessor> Steps => steps;

    public override int AddedTokens(bool isPair) => steps.Sum(step => step.AddedTokens(isPair));

    public override List<EncodedRow> Process(List<EncodedRow> rows, bool addSpecialTokens)
    {
        foreach (var step in steps) rows = step.Process(rows, addSpecialTokens);
        return rows;
    }
}

/// <summary>ByteLevel: leaves the spaces of a token out of its offsets, if asked to.</summary>
internal sealed class ByteLevelPostProcessor(bool trimOffsets, bool addPrefixSpace) : PostProcessor
{
    /// <summary>The same step behind a pre-tokenizer that puts a space before the text, or none.</summary>
    public ByteLevelPostProcessor WithPrefix(bool added) => new(trimOffsets, added);

    public override List<EncodedRow> Process(List<EncodedRow> rows, bool addSpecialTokens)
    {
        if (trimOffsets)
            foreach (var row in rows) Trim(row);
        return rows;
    }

    private void Trim(EncodedRow row)
    {
        foreach (var part in row.Overflowing) Trim(part);
        for (var i = 0; i < row.Count; i++) row.Offsets[i] = Trimmed(row.Tokens[i], row.Offsets[i], i == 0);
    }

    private (int, int) Trimmed(string token, (int Start, int End) offset, bool isFirst)
    {
        var (leading, trailing) = (0, 0);
        while (leading < token.Length && IsSpace(token[leading])) leading++;
        while (trailing < token.Length && IsSpace(token[^(trailing + 1)])) trailing++;
        var (start, end) = offset;
        // The one space that the pre-tokenizer put before the text is not in the text.
        if (leading == 1 && addPrefixSpace && (isFirst || start == 0)) leading = 0;
        if (leading > 0) start = Math.Min(start + leading, end);
        if (trailing > 0 && end >= trailing) end = Math.Max(end - trailing, start);
        return (start, end);
    }

    private static bool IsSpace(char c) => c == ByteAlphabet.CharOf((byte)' ') || UnicodeData.IsWhiteSpace(c);
}
