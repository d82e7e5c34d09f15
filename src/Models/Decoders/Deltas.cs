// How the engine computes an adapter's deltas beside the products that they change.

using PeftAlign.Abstractions;
using PeftAlign.Models.Engine;
using PeftAlign.Torch;
using F = PeftAlign.Torch.torch.nn.functional;

namespace PeftAlign.Models.Decoders;

internal static class Deltas
{
    /// <summary>A module's output under a delta.</summary>
    /// <param name="y">(R, out) the module's own output.</param>
    /// <param name="delta">The change.</param>
    /// <param name="x">(R, in) the module's input.</param>
    /// <param name="module">Full name.</param>
    /// <param name="pack">The rows.</param>
    /// <param name="mode">Dropout.</param>
    /// <returns>(R, out)</returns>
    internal static Tensor Apply(Tensor y, Delta delta, Tensor x, string module, Pack pack, ForwardMode mode) => delta switch
    {
        LowRank low => y.addmm(F.linear(Dropped(x, low.Dropout, module, pack, mode), low.A) * low.Scale, low.B.t()),
        _ => throw new NotSupportedException($"the engine cannot compute a {delta.GetType().Name} at {module}"),
    };

    private static Tensor Dropped(Tensor x, double rate, string module, Pack pack, ForwardMode mode) =>
        rate > 0 && mode.Dropout is { } key ? x * DropoutMask.Of(key, module, rate, pack, x) : x;
}
