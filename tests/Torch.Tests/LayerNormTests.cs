// LayerNorm in bfloat16: mean and deviation stay float32, whichever libtorch there is, and the result is rounded once.

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
        (Tensor, Tensor) Of(torch.ScalarType type)
        {
            var input = x.to(type).detach().requires_grad_();
            var y = F.layer_norm(input, [48], w?.to(type), b?.to(type), 1e-5);
            return (y.detach().to(torch.bfloat16), torch.autograd.grad([y], [input], [g.to(type)])[0].to(torch.bfloat16));
        }
        var (narrow, wide) = (Of(torch.bfloat16), Of(torch.float32));
        // Another order of sums may fall on the other side of a tie, once in a thousand.
        foreach (var (one, other) in ((Tensor, Tensor)[])[(narrow.Item1, wide.Item1), (narrow.Item2, wide.Item2)])
            Assert.That(one.ne(other).to(torch.float32).mean().item<float>(), Is.LessThan(0.005f));
    }
}
