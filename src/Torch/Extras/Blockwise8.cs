// Vectors in 8 bits: blocks of 256 values share a factor, their largest magnitude, and each value over it becomes the nearest
// entry of a dynamic map (Dettmers et al. 2022, 8-bit optimizers via block-wise quantization), exactly: bitsandbytes' processor
// code rounds before it looks the entry up.

using PeftAlign.Torch.Native;

namespace PeftAlign.Torch.Extras;

/// <summary>From vectors to 8 bits and back.</summary>
public sealed class Blockwise8 : IDisposable
{
    /// <summary>Values that share a factor.</summary>
    public const long Blocksize = 256;

    private static readonly Operator Bucketize = new("aten::bucketize", "Tensor");

    private readonly Tensor map;
    private readonly bool signed;

    /// <summary>The map on a device.</summary>
    /// <param name="signed">Whether values may be negative; else a positive one never becomes zero.</param>
    /// <param name="device">Where the vectors are.</param>
    public Blockwise8(bool signed, torch.Device device)
    {
        this.signed = signed;
        map = torch.tensor(Map(signed), device: device).DetachFromDisposeScope();
    }

    /// <summary>How many factors a vector has.</summary>
    /// <param name="count">Its values.</param>
    public static long Factors(long count) => (count + Blocksize - 1) / Blocksize;

    /// <summary>(n) float32: map[code] * factor.</summary>
    /// <param name="codes">(n) uint8.</param>
    /// <param name="absmax">(ceil(n / 256)) float32.</param>
    public Tensor Decode(Tensor codes, Tensor absmax)
    {
        using var scope = torch.NewDisposeScope();
        return map.index_select(0, codes.to(torch.int64)).mul_(Spread(absmax, codes.numel())).MoveToOuterDisposeScope();
    }

    /// <summary>Overwrites codes and factors with those of other values.</summary>
    /// <param name="values">(n) float32.</param>
    /// <param name="codes">(n) uint8.</param>
    /// <param name="absmax">(ceil(n / 256)) float32.</param>
    public void Encode(Tensor values, Tensor codes, Tensor absmax)
    {
        using var scope = torch.NewDisposeScope();
        var missing = absmax.numel() * Blocksize - values.numel();
        var padded = missing == 0 ? values : torch.nn.functional.pad(values, [0, missing]);
        absmax.copy_(padded.view(-1, Blocksize).abs().amax([1]));
        var nearest = Nearest(values / Spread(absmax, values.numel()).clamp(min: 1e-38));
        // A second moment of 0 would make the next step as large as 1 / epsilon, so the least positive entry stands for anything smaller.
        codes.copy_(signed ? nearest : nearest.maximum(values.gt(0).to(torch.int32)));
    }

    /// <summary>(256) float32, sorted: for each power of ten twice as many means of neighbours between 0.1 and 1; 0 and 1.</summary>
    /// <param name="signed">Seven powers and both signs; else as many, of twice as many entries.</param>
    public static float[] Map(bool signed)
    {
        var values = new List<float> { 0, 1 };
        for (var power = 0; power <= 6; power++)
        {
            var count = signed ? 1 << power : 1 << (power + 1);
            for (var k = 0; k < count; k++)
            {
                var value = (float)Math.Pow(10, power - 6) * ((Point(k, count) + Point(k + 1, count)) / 2f);
                values.Add(value);
                if (signed) values.Add(-value);
            }
        }
        return [.. values.Order()];

        // torch's linspace: from both ends to the middle, product and sum rounded once.
        static float Point(int k, int count)
        {
            var step = (1f - 0.1f) / count;
            return k < (count + 1) / 2 ? MathF.FusedMultiplyAdd(step, k, 0.1f) : MathF.FusedMultiplyAdd(-step, count - k, 1f);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => map.Dispose();

    // By comparing distances: moments of 16-bit gradients hit the exact middle of two entries, and a rounded midpoint may be on either
    // side of that. Of two equally near entries the lower one counts.
    private Tensor Nearest(Tensor x)
    {
        var above = Bucketize.Tensor(x, map, true, false).clamp(1, 255);
        var (lower, upper) = (map.index_select(0, above - 1), map.index_select(0, above));
        return above - (x - lower).le(upper - x).to(torch.int32);
    }

    // (n) each value's factor.
    private static Tensor Spread(Tensor absmax, long count) => absmax.unsqueeze(1).expand(absmax.numel(), Blocksize).reshape(-1).narrow(0, 0, count);
}
