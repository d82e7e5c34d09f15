// One group's rows within a pack, and which of them see which.

using PeftAlign.Torch;

namespace PeftAlign.Models.Engine;

internal sealed class Segment : IDisposable
{
    /// <param name="start">First row.</param>
    /// <param name="branches">Rows of the prompt, then of each completion.</param>
    /// <param name="record">Number of the group within the batch: the key of its dropout.</param>
    /// <param name="device">Where the mask lies.</param>
    internal Segment(int start, int[] branches, int record, torch.Device device)
    {
        Start = start;
        Length = branches.Sum();
        Record = record;
        Positions = branches[0] + branches.Skip(1).Append(0).Max();
        Mask = BuildMask(branches, Length, device);
    }

    internal int Start { get; }

    internal int Length { get; }

    internal int Record { get; }

    /// <summary>One more than the largest position of its rows.</summary>
    internal int Positions { get; }

    /// <summary>(T, T) float32, 0 where a row sees another and -inf where it does not; shared by all layers.</summary>
    internal Tensor Mask { get; }

    public void Dispose() => Mask.Dispose();

    private static Tensor BuildMask(int[] branches, int length, torch.Device device)
    {
        var mask = new float[length * length];
        Array.Fill(mask, float.NegativeInfinity);
        var prompt = branches[0];
        for (int b = 0, first = 0; b < branches.Length; first += branches[b], b++)
        {
            for (var row = first; row < first + branches[b]; row++)
            {
                var own = b == 0 ? 0 : first;
                if (b > 0) mask.AsSpan(row * length, prompt).Clear();
                mask.AsSpan(row * length + own, row - own + 1).Clear();
            }
        }
        return torch.tensor(mask, [length, length], device: device).DetachFromDisposeScope();
    }
}
