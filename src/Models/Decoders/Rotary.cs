// Rotary position embedding (Su et al. 2021) in the half-split layout of LLaMA checkpoints: dimension j turns with
// j + D/2 by position * theta^(-2j/D). Angles are computed in float32, as the reference implementation does.

using PeftAlign.Torch;

namespace PeftAlign.Models.Decoders;

internal sealed class Rotary
{
    private readonly Tensor cos;
    private readonly Tensor sin;

    private Rotary(Tensor cos, Tensor sin)
    {
        this.cos = cos;
        this.sin = sin;
    }

    /// <param name="spec">Head width and base.</param>
    /// <param name="positions">(R) int64.</param>
    /// <param name="dtype">Of the queries and keys.</param>
    internal static Rotary Of(DecoderSpec spec, Tensor positions, torch.ScalarType dtype)
    {
        using var scope = torch.NewDisposeScope();
        var half = Enumerable.Range(0, (int)(spec.HeadWidth / 2)).Select(j => (float)(1 / Math.Pow(spec.RopeTheta, 2.0 * j / spec.HeadWidth))).ToArray();
        var angles = positions.to(torch.float32).unsqueeze(1) * torch.tensor(half, device: positions.device).unsqueeze(0); // (R, D/2)
        var both = torch.cat([angles, angles], 1).unsqueeze(1); // (R, 1, D)
        return new Rotary(both.cos().to(dtype).MoveToOuterDisposeScope(), both.sin().to(dtype).MoveToOuterDisposeScope());
    }

    /// <summary>Turns (R, heads, D).</summary>
    internal Tensor Turn(Tensor x)
    {
        var half = x.size(2) / 2;
        var turned = torch.cat([x.narrow(2, half, half).neg(), x.narrow(2, 0, half)], 2);
        return x * cos + turned * sin;
    }
}
