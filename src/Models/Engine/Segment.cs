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

    internal int Length { get; } = Branches.Sum();

    /// <summary>One more than the largest position of its rows.</summary>
    internal int Positions { get; } = Branches[0] + Branches.Skip(1).Append(0).Max();

    /// <summary>Whether every row sees all rows before it: a prompt with one completion.</summary>
    internal bool IsChain => Length == Positions;

    /// <summary>Writes 0 into a (width, width) mask where a row sees another. A row behind the last sees itself.</summary>
    /// <param name="mask">Row-major.</param>
    /// <param name="width">Its side.</param>
    /// <param name="window">Positions that a row sees, its own included; null = all.</param>
    internal void Show(Span<float> mask, int width, long? window)
    {
        var prompt = Branches[0];
        for (int b = 0, first = 0; b < Branches.Length; first += Branches[b], b++)
        {
            for (var row = first; row < first + Branches[b]; row++)
            {
                var (own, position) = b == 0 ? (0, row) : (first, prompt + row - first);
                var unseen = (int)Math.Max(0, position + 1 - (window ?? width)); // positions before it are out of sight
                if (b > 0 && unseen < prompt) mask[(row * width + unseen)..(row * width + prompt)].Clear();
                var seen = Math.Max(own, row + 1 - (int)Math.Min(window ?? width, width));
                mask.Slice(row * width + seen, row - seen + 1).Clear();
            }
        }
        // Without this, the softmax of a row that pads would be NaN.
        for (var row = Length; row < width; row++) mask[row * width + row] = 0;
    }
}
