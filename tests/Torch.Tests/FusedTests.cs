// SwiGLU with its gradients, against the same composed from ATen's operators.

using PeftAlign.Torch.Extras;

namespace PeftAlign.Torch.Tests;

public sealed class FusedTests(string instructions) : KernelTests(instructions)
{
    // Widths around the 16 lanes.
    [TestCase(1, 1)]
    [TestCase(3, 16)]
    [TestCase(70, 33)]
    [TestCase(300, 1024)]
    public void Swiglu_and_its_gradients_agree_with_float64(long rows, long width)
    {
        using var scope = torch.NewDisposeScope();
        var (gate, up, g) = (Near.Random([rows, width], "gate") * 4, Near.Random([rows, width], "up"), Near.Random([rows, width], "g"));
        Tensor[] single = [gate.to(torch.float32).requires_grad_(), up.to(torch.float32).requires_grad_()];
        Tensor[] wide = [.. single.Select(t => t.detach().to(torch.float64).requires_grad_())];
        var (actual, expected) = (Fused.Swiglu(single[0], single[1]), wide[0].silu() * wide[1]);
        Near.AssertNear(actual, expected, 1e-6);
        var (a, b) = (torch.autograd.grad([actual], single, [g.to(torch.float32)]), torch.autograd.grad([expected], wide, [g.to(torch.float32).to(torch.float64)]));
        for (var k = 0; k < 2; k++) Near.AssertNear(a[k], b[k], 2e-6);
    }

    [Test]
    public void Swiglu_takes_column_slices_and_more_dimensions()
    {
        using var scope = torch.NewDisposeScope();
        var joined = Near.Random([2, 5, 40], "joined", torch.ScalarType.Float32).requires_grad_();
        Tensor Of(Func<Tensor, Tensor, Tensor> f) => f(joined.narrow(2, 0, 20), joined.narrow(2, 20, 20));
        var (mine, composed) = (Of(Fused.Swiglu), Of((gate, up) => gate.silu() * up));
        Near.AssertNear(mine, composed, 1e-6);
        Near.AssertNear(torch.autograd.grad([mine.sum()], [joined])[0], torch.autograd.grad([composed.sum()], [joined])[0], 1e-6);
    }

    [Test]
    public void Swiglu_in_bfloat16_rounds_where_the_operators_round()
    {
        using var scope = torch.NewDisposeScope();
        var (gate, up, g) = (Near.Random([40, 50], "gate").to(torch.bfloat16).requires_grad_(), Near.Random([40, 50], "up").to(torch.bfloat16).requires_grad_(), Near.Random([40, 50], "g").to(torch.bfloat16));
        // silu rounds once; libtorch 1.13 rounds inside of it too.
        var (mine, composed) = (Fused.Swiglu(gate, up), gate.to(torch.float32).silu().to(torch.bfloat16) * up);
        Assert.That(mine.ne(composed).sum().item<long>(), Is.LessThanOrEqualTo(2), "an exponential's last bit may cross a border of rounding, once in thousands");
        var (a, b) = (torch.autograd.grad([mine], [gate, up], [g]), torch.autograd.grad([composed], [gate, up], [g]));
        for (var k = 0; k < 2; k++) Near.AssertNear(a[k], b[k], 1.0 / 64);
    }

    [Test]
    public void Swiglu_composed_in_float64_has_right_gradients_of_both_orders()
    {
        using var scope = torch.NewDisposeScope();
        var g = Near.Random([3, 5], "g");
        Near.AssertGradients(t => Fused.Swiglu(t[0], t[1]) * g, Near.Random([3, 5], "gate"), Near.Random([3, 5], "up"));
        Tensor[] leaves = [Near.Random([3, 5], "gate").requires_grad_(), Near.Random([3, 5], "up").requires_grad_()];
        Tensor[] Second(Func<Tensor, Tensor, Tensor> f)
        {
            var first = torch.autograd.grad([(f(leaves[0], leaves[1]) * g).sum()], leaves, create_graph: true);
            return [.. torch.autograd.grad([(first[0].square() + first[1].square()).sum()], leaves)];
        }
        var (mine, composed) = (Second(Fused.Swiglu), Second((gate, up) => gate.silu() * up));
        for (var k = 0; k < 2; k++) Near.AssertNear(mine[k], composed[k], 1e-12);
    }
}
