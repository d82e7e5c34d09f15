// One group's rows within a pack, and which of them see which.

namespace PeftAlign.Models.Engine;

/// <param name="Start">First row.</param>
/// <param name="Branches">Rows of the prompt, then of each completion.</param>
/// <param name="Record">Number of the group within the batch: the key of its dropout.</param>
/// <param name="Tokens">Tokens of its sequences, where frequencies depend on that: a class of equal frequencies.</param>
internal sealed record Segment(int Start, int[] Branches, int Record, long Tokens = 1)
{
    /// <summary>The control of its group, or null.</summary>
    internal string? Control { get; init; }

    /// <summary>What stands before its text; virtual tokens are the prompt's first rows.</summary>
    internal Front Front { get; init; }

    /// <summary>Rows, counted from its first, that no later row sees.</summary>
    internal IReadOnlyList<int> Hidden { get; init; } = [];

    internal int Length { get; } = Branches.Sum();

    /// <summary>One more than the largest position of its rows, counted from its first row.</summary>
    internal int Positions { get; } = Branches[0] + Longest(Branches);

    /// <summary>The position of each row, counted from its first row; a completion's continue from its prompt's.</summary>
    internal IEnumerable<long> Places => Branches.SelectMany((rows, b) => Enumerable.Range(b == 0 ? 0 : Branches[0], rows)).Select(position => (long)position);

    /// <summary>Whether every row sees all rows before it: a prompt with one completion.</summary>
    internal bool IsChain => Length == Positions;

    private static int Longest(int[] branches)
    {
        var longest = 0;
        for (var b = 1; b < branches.Length; b++) longest = Math.Max(longest, branches[b]);
        return longest;
    }

    /// <summary>Writes 0 into a (width, prefix + width) mask where a row sees another. A row behind the last sees itself.</summary>
    /// <param name="mask">Row-major.</param>
    /// <param name="width">Rows.</param>
    /// <param name="window">Positions that a row sees, its own included; null = all.</param>
    internal void Show(Span<float> mask, int width, long? window)
    {
        var (prompt, before) = (Branches[0], Front.Prefix);
        var stride = before + width;
        for (int b = 0, first = 0; b < Branches.Length; first += Branches[b], b++)
        {
            for (var row = first; row < first + Branches[b]; row++)
            {
                var (own, position) = b == 0 ? (0, row) : (first, prompt + row - first);
                var hidden = (int)Math.Max(0, before + position + 1 - (window ?? stride)); // of the prefix and what follows it, positions before it are out of sight
                if (hidden < before) mask[(row * stride + hidden)..(row * stride + before)].Clear();
                var unseen = Math.Max(0, hidden - before);
                if (b > 0 && unseen < prompt) mask[(row * stride + before + unseen)..(row * stride + before + prompt)].Clear();
                var seen = Math.Max(own, row + 1 - (int)Math.Min(window ?? width, width));
                mask.Slice(row * stride + before + seen, row - seen + 1).Clear();
            }
        }
        foreach (var hidden in Hidden)
            for (var row = hidden + 1; row < Length; row++) mask[row * stride + before + hidden] = float.NegativeInfinity;
        // Without this, the softmax of a row that pads would be NaN.
        for (var row = Length; row < width; row++) mask[row * stride + before + row] = 0;
    }

    /// <summary>Writes for each row the first and the end of two runs of rows that it sees: the prompt's, where it is a completion's, and its own branch's.</summary>
    /// <param name="runs">Four numbers a row.</param>
    /// <param name="window">Positions that a row sees, its own included; null = all.</param>
    internal void Runs(Span<int> runs, long? window)
    {
        var prompt = Branches[0];
        for (int b = 0, first = 0; b < Branches.Length; first += Branches[b], b++)
            for (var row = first; row < first + Branches[b]; row++)
            {
                var position = b == 0 ? row : prompt + row - first;
                var hidden = (int)Math.Max(0, position + 1 - (window ?? position + 1)); // positions before it are out of sight
                if (b > 0 && hidden < prompt) (runs[4 * row], runs[(4 * row) + 1]) = (hidden, prompt);
                (runs[(4 * row) + 2], runs[(4 * row) + 3]) = (b == 0 ? hidden : first + Math.Max(0, hidden - prompt), row + 1);
            }
    }
}
