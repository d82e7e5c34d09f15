// Rotary position embedding (Su et al. 2021) in the half-split layout of LLaMA checkpoints: of the W dimensions that turn,
// j turns with j + W/2 by position * frequency. Angles are computed in float32, as the reference implementation does; their
// cosines in float64, since vectorised float32 cosines depend in the last bit on where in the tensor a number stands.

using PeftAlign.Abstractions;
using PeftAlign.Torch;

namespace PeftAlign.Models.Decoders;

/// <summary>The turn of each row.</summary>
/// <param name="Cos">(R, 1, W): both halves alike.</param>
/// <param name="Sin">(R, 1, W/2)</param>
internal sealed record Rotary(Tensor Cos, Tensor Sin)
{
    /// <param name="spec">Head width and rotary parameters; null where it has none.</param>
    /// <param name="positions">(R) int64.</param>
    /// <param name="dtype">Of the queries and keys.</param>
    /// <param name="lengths">For runs of rows (count, tokens of their sequence) where frequencies depend on it; null elsewhere.</param>
    internal static Rotary? Of(DecoderSpec spec, Tensor positions, torch.ScalarType dtype, IReadOnlyList<(long Rows, long Length)>? lengths = null) =>
        spec.Rope is { } rope ? Of(spec, rope, positions, dtype, lengths) : null;

    /// <summary>Of each block; blocks whose rotary parameters are equal share one.</summary>
    internal static Rotary?[] OfBlocks(DecoderSpec spec, Tensor positions, torch.ScalarType dtype, IReadOnlyList<(long Rows, long Length)>? lengths)
    {
        if (spec.TurnsWide && dtype is torch.ScalarType.BFloat16 or torch.ScalarType.Float16) dtype = torch.float32;
        if (spec.Ropes.Count == 0) return [.. Enumerable.Repeat(Of(spec, positions, dtype, lengths), spec.Layers)];
        var made = spec.Ropes.OfType<RopeParameters>().Distinct().ToDictionary(rope => rope, rope => Of(spec, rope, positions, dtype, lengths));
        return [.. spec.Ropes.Select(rope => rope is null ? null : made[rope])];
    }

    private static Rotary Of(DecoderSpec spec, RopeParameters rope, Tensor positions, torch.ScalarType dtype, IReadOnlyList<(long Rows, long Length)>? lengths)
    {
        using var scope = torch.NewDisposeScope();
        var frequencies = Frequencies(spec, rope, lengths, positions.device);
        var angles = (positions.to(torch.float32).unsqueeze(1) * frequencies).to(torch.float64); // (R, W/2)
        var scale = RotaryFrequencies.AttentionScale(rope, spec.MaxPositions);
        var cos = angles.cos() * scale;
        return new Rotary(
            torch.cat([cos, cos], 1).unsqueeze(1).to(dtype).MoveToOuterDisposeScope(),
            (angles.sin() * scale).unsqueeze(1).to(dtype).MoveToOuterDisposeScope());
    }

    // (1, W/2) for all rows, or (R, W/2)
    private static Tensor Frequencies(DecoderSpec spec, RopeParameters rope, IReadOnlyList<(long Rows, long Length)>? lengths, torch.Device device)
    {
        Tensor Row(long length) => torch.tensor(RotaryFrequencies.Of(rope, spec.HeadWidth, spec.MaxPositions, length), device: device).unsqueeze(0);
        if (!RotaryFrequencies.DependOnLength(rope)) return Row(1);
        if (lengths is null) throw new ArgumentException($"rotary positions of type {rope.Type} need the length of each row's sequence");
        return torch.cat(lengths.Select(run => Row(run.Length).expand(run.Rows, -1)).ToList());
    }

    /// <summary>Turns (R, heads, D); not recorded by autograd's rules for single operators, so call it where nothing is recorded.</summary>
    internal Tensor Turn(Tensor x) => Turn(x, 1);

    /// <summary>The inverse turn, which is also the gradient's.</summary>
    internal Tensor TurnBack(Tensor x) => Turn(x, -1);

    private Tensor Turn(Tensor x, int direction)
    {
        if (x.dtype != Cos.dtype) return Turn(x.to(Cos.dtype), direction).to(x.dtype);
        var (width, half) = (Cos.size(2), Sin.size(2));
        if (width < x.size(2)) return torch.cat([Turn(x.narrow(2, 0, width), direction), x.narrow(2, width, x.size(2) - width)], 2);
        var turned = x * Cos;
        turned.narrow(2, 0, half).addcmul_(x.narrow(2, half, half), Sin, -direction);
        turned.narrow(2, half, half).addcmul_(x.narrow(2, 0, half), Sin, direction);
        return turned;
    }
}
