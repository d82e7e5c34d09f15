// LayerNorm in bfloat16: mean and deviation stay float32, whichever libtorch there is, and the result is rounded once; so is the gradient, from the
// statistics that libtorch kept.

using PeftAlign.Torch.Extras;
using F = PeftAlign.Torch.torch.nn.functional;

namespace PeftAlign.Torch.Tests;

public sealed class LayerNormTests
{
    [TestCase(true)]
    [TestCase(false)]
    public void Bfloat16_is_rounded_once(bool weighted)
    {
        using var scope = torch.NewDisposeScope();
        Tensor Narrow(string name, params long[] shape) => Near.Random(shape, name).to(torch.bfloat16);
        var (x, g) = (Narrow("x", 40, 48) * 3 + 1, Narrow("g", 40, 48));
        var (w, b) = weighted ? (Narrow("w", 48), Narrow("b", 48)) : default((Tensor?, Tensor?));
        var input = x.detach().requires_grad_();
        var y = F.layer_norm(input, [48], w, b, 1e-5);
        var gradient = torch.autograd.grad([y], [input], [g])[0];

        // By the definition, in float32. To its backward pass on processors libtorch 2 takes mean and deviation in bfloat16 (PyTorch's own numbers);
        // where we compose the operator they stay as they are.
        Tensor Wide(Tensor t) => t.to(torch.float32);
        Tensor Kept(Tensor statistic) => LibTorch.HasAttention ? Wide(statistic.to(torch.bfloat16)) : statistic;
        var mean = Wide(x).mean([-1], true);
        var rate = ((Wide(x) - mean).square().mean([-1], true) + 1e-5).rsqrt();
        var wanted = (Wide(x) - mean) * rate;
        if (weighted) wanted = wanted * Wide(w!) + Wide(b!);
        var (normal, outgoing) = ((Wide(x) - Kept(mean)) * Kept(rate), weighted ? Wide(g) * Wide(w!) : Wide(g));
        var wantedGradient = Kept(rate) * (outgoing - outgoing.mean([-1], true) - normal * (outgoing * normal).mean([-1], true));
        // Another order of sums may fall on the other side of a tie, once in a thousand.
        foreach (var (one, other) in ((Tensor, Tensor)[])[(y, wanted), (gradient, wantedGradient)])
            Assert.That(one.ne(other.to(torch.bfloat16)).to(torch.float32).mean().item<float>(), Is.LessThan(0.005f));
    }
}
