// Vectors in 8 bits: blocks of 256 values share a factor, their largest magnitude, and each value over it becomes the nearest
// entry of a dynamic map (Dettmers et al. 2022, 8-bit optimizers via block-wise quantization), exactly: bitsandbytes' processor
// code rounds before it looks the entry up.

using PeftAlign.Torch.Native;

namespace PeftAlign.Torch.Extras;

/// <summary>A vector in 8 bits, changed in place.</summary>
public sealed class Blockwise8 : IDisposable
{
    /// <summary>Values that share a factor.</summary>
    public const long Blocksize = 256;

    private static readonly Operator Bucketize = new("aten::bucketize", "Tensor");

    private readonly Tensor map, midpoints;
    private readonly bool signed;

    /// <summary>Zeros.</summary>
    /// <param name="count">How many.</param>
    /// <param name="signed">Whether values may be negative; else a positive one never becomes zero.</param>
    /// <param name="device">Where.</param>
    public Blockwise8(long count, bool signed, torch.Device device)
    {
        this.signed = signed;
        using var scope = torch.NewDisposeScope();
        var values = Map(signed);
        map = torch.tensor(values, device: device).DetachFromDisposeScope();
        midpoints = torch.tensor(values.Zip(values.Skip(1), (a, b) => (a + b) / 2).ToArray(), device: device).DetachFromDisposeScope();
        Codes = torch.zeros([count], torch.uint8, device).DetachFromDisposeScope();
        Absmax = torch.zeros([(count + Blocksize - 1) / Blocksize], torch.float32, device).DetachFromDisposeScope();
    }

    /// <summary>(n) uint8.</summary>
    public Tensor Codes { get; }

    /// <summary>(ceil(n / 256)) float32.</summary>
    public Tensor Absmax { get; }

    /// <summary>(n) float32 the values: map[code] * absmax.</summary>
    public Tensor Decode()
    {
        using var scope = torch.NewDisposeScope();
        return map.index_select(0, Codes.to(torch.int64)).mul_(Spread()).MoveToOuterDisposeScope();
    }

    /// <summary>Takes other values.</summary>
    /// <param name="values">(n) float32.</param>
    public void Encode(Tensor values)
    {
        using var scope = torch.NewDisposeScope();
        var n = Codes.numel();
        var missing = Absmax.numel() * Blocksize - n;
        var padded = missing == 0 ? values : torch.nn.functional.pad(values, [0, missing]);
        Absmax.copy_(padded.view(-1, Blocksize).abs().amax([1]));
        var codes = Bucketize.Tensor(values / Spread().clamp(min: 1e-38), midpoints, true, false);
        // Of a second moment a 0 would make the next step as large as 1 / epsilon: the least positive entry stands for what is less.
        if (!signed) codes = codes.maximum(values.gt(0).to(torch.int32));
        Codes.copy_(codes);
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
    public void Dispose()
    {
        foreach (var tensor in new[] { map, midpoints, Codes, Absmax }) tensor.Dispose();
    }

    // (n) each value's factor.
    private Tensor Spread() => Absmax.unsqueeze(1).expand(Absmax.numel(), Blocksize).reshape(-1).narrow(0, 0, Codes.numel());
}
