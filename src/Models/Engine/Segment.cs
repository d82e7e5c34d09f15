// One group's rows within a pack, and which of them see which.

namespace PeftAlign.Models.Engine;

/// <param name="Start">First row.</param>
/// <param name="Branches">Rows of the prompt, then of each completion.</param>
/// <param name="Record">Number of the group within the batch: the key of its dropout.</param>
internal sealed record Segment(int Start, int[] Branches, int Record)
{
    internal int Length { get; } = Branches.Sum();

    /// <summary>One more than the largest position of its rows.</summary>
    internal int Positions { get; } = Branches[0] + Branches.Skip(1).Append(0).Max();

    /// <summary>Whether every row sees all rows before it: a prompt with one completion.</summary>
    internal bool IsChain => Length == Positions;

    /// <summary>Writes 0 into a (width, width) mask where a row sees another. A row behind the last sees itself.</summary>
    internal void Show(Span<float> mask, int width)
    {
        var prompt = Branches[0];
        for (int b = 0, first = 0; b < Branches.Length; first += Branches[b], b++)
        {
            for (var row = first; row < first + Branches[b]; row++)
            {
                var own = b == 0 ? 0 : first;
                if (b > 0) mask.Slice(row * width, prompt).Clear();
                mask.Slice(row * width + own, row - own + 1).Clear();
            }
        }
        // Without this, the softmax of a row that pads would be NaN.
        for (var row = Length; row < width; row++) mask[row * width + row] = 0;
    }
}
