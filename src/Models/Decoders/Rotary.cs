// Rotary position embedding (Su et al. 2021) in the half-split layout of LLaMA checkpoints: dimension j turns with
// j + D/2 by position * theta^(-2j/D). Angles are computed in float32, as the reference implementation does; their cosines in
// float64, since vectorised float32 cosines depend in the last bit on where in the tensor a number stands.

using PeftAlign.Torch;

namespace PeftAlign.Models.Decoders;

/// <summary>The turn of each row.</summary>
/// <param name="Cos">(R, 1, D): both halves alike.</param>
/// <param name="Sin">(R, 1, D/2)</param>
internal sealed record Rotary(Tensor Cos, Tensor Sin)
{
    /// <param name="spec">Head width and base.</param>
    /// <param name="positions">(R) int64.</param>
    /// <param name="dtype">Of the queries and keys.</param>
    internal static Rotary Of(DecoderSpec spec, Tensor positions, torch.ScalarType dtype)
    {
        using var scope = torch.NewDisposeScope();
        var frequencies = Enumerable.Range(0, (int)(spec.HeadWidth / 2)).Select(j => (float)(1 / Math.Pow(spec.RopeTheta, 2.0 * j / spec.HeadWidth))).ToArray();
        var angles = positions.to(torch.float32).unsqueeze(1) * torch.tensor(frequencies, device: positions.device).unsqueeze(0); // (R, D/2)
        angles = angles.to(torch.float64);
        var cos = angles.cos();
        return new Rotary(
            torch.cat([cos, cos], 1).unsqueeze(1).to(dtype).MoveToOuterDisposeScope(),
            angles.sin().unsqueeze(1).to(dtype).MoveToOuterDisposeScope());
    }

    /// <summary>Turns (R, heads, D); not recorded by autograd's rules for single operators, so call it where nothing is recorded.</summary>
    internal Tensor Turn(Tensor x) => Turn(x, 1);

    /// <summary>The inverse turn, which is also the gradient's.</summary>
    internal Tensor TurnBack(Tensor x) => Turn(x, -1);

    private Tensor Turn(Tensor x, int direction)
    {
        var half = x.size(2) / 2;
        var turned = x * Cos;
        turned.narrow(2, 0, half).addcmul_(x.narrow(2, half, half), Sin, -direction);
        turned.narrow(2, half, half).addcmul_(x.narrow(2, 0, half), Sin, direction);
        return turned;
    }
}
