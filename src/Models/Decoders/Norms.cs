// RMSNorm composed of single operators.

using PeftAlign.Torch;

namespace PeftAlign.Models.Decoders;

internal static class Norms
{
    /// <summary>w * x / sqrt(mean(x^2) + eps) over the last dimension; the mean is taken in float32 (float64 for float64).</summary>
    internal static Tensor Rms(Tensor x, Tensor weight, double epsilon)
    {
        var wide = x.dtype == torch.float64 ? x : x.to(torch.float32);
        var normal = wide * (wide.square().mean([-1], keepdim: true) + epsilon).rsqrt();
        return normal.to(x.dtype) * weight;
    }
}
