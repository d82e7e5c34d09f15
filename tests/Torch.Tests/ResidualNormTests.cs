// The sum of the residual stream and its norm in one pass: bit for bit what the two operators give, values and gradients.

using PeftAlign.Torch.Extras;
using F = PeftAlign.Torch.torch.nn.functional;

namespace PeftAlign.Torch.Tests;

public sealed class ResidualNormTests(string instructions) : KernelTests(instructions)
{
    private const double Eps = 1e-5;

    // Widths around the lanes, one row and many, in each type that has kernels.
    [Test]
    public void Is_the_sum_and_its_norm_bit_for_bit(
        [Values(torch.ScalarType.Float32, torch.ScalarType.Float64, torch.ScalarType.BFloat16, torch.ScalarType.Float16)] torch.ScalarType dtype,
        [Values(1, 7, 100)] long width,
        [Values(1, 300)] long rows)
    {
        using var scope = torch.NewDisposeScope();
        Tensor Input(string name, params long[] shape) => Near.Random(shape, name).to(dtype).requires_grad_();
        Tensor[] inputs = [Input("x", rows, width), Input("added", rows, width), Input("w", width)];
        var (by_sum, by_normal) = (Near.Random([rows, width], "s").to(dtype), Near.Random([rows, width], "n").to(dtype));

        var (sum, normal) = Fused.ResidualNorm(inputs[0], inputs[1], inputs[2], Eps);
        var mine = torch.autograd.grad([sum, normal], inputs, [by_sum, by_normal]);
        var expected = inputs[0] + inputs[1];
        var composed = F.rms_norm(expected, inputs[2], Eps);
        var gradients = torch.autograd.grad([expected, composed], inputs, [by_sum, by_normal]);

        Assert.Multiple(() =>
        {
            Assert.That(sum.equal(expected) && sum.dtype == dtype, "sum");
            Assert.That(normal.equal(composed), "norm");
            foreach (var (own, other, name) in mine.Zip(gradients, ["x", "added", "weight"])) Assert.That(own!.equal(other!), $"gradient by {name}");
            using (torch.no_grad())
            {
                var (plain, same) = Fused.ResidualNorm(inputs[0], inputs[1], inputs[2], Eps);
                Assert.That(plain.equal(expected) && same.equal(composed) && !same.requires_grad, "without gradients");
            }
        });
    }

    [Test]
    public void Of_one_result_alone_the_other_has_no_part_in_the_gradient()
    {
        using var scope = torch.NewDisposeScope();
        var (x, added, w, g) = (Near.Random([5, 24], "x").requires_grad_(), Near.Random([5, 24], "added"), Near.Random([24], "w"), Near.Random([5, 24], "g"));
        var (sum, normal) = Fused.ResidualNorm(x, added, w, Eps);
        Assert.That(torch.autograd.grad([sum], [x], [g], retain_graph: true)[0]!.equal(g));
        Assert.That(torch.autograd.grad([normal], [x], [g])[0]!.equal(torch.autograd.grad([F.rms_norm(x + added, w, Eps)], [x], [g])[0]!));
    }

    // Columns of a wider tensor, and a weight of another type, which has no kernel.
    [Test]
    public void Takes_strided_rows_and_mixed_types()
    {
        using var scope = torch.NewDisposeScope();
        var (wide, added, w) = (Near.Random([9, 64], "x").to(torch.float32), Near.Random([9, 32], "added").to(torch.float32), Near.Random([32], "w"));
        var x = wide.narrow(1, 8, 32).requires_grad_();
        var (sum, normal) = Fused.ResidualNorm(x, added, w.to(torch.float32), Eps);
        Assert.That(sum.equal(x + added) && normal.equal(F.rms_norm(x + added, w.to(torch.float32), Eps)));
        var (again, mixed) = Fused.ResidualNorm(x, added, w, Eps);
        Assert.That(again.equal(x + added) && mixed.equal(F.rms_norm(x + added, w, Eps)) && mixed.dtype == torch.float64);
        var composed = torch.autograd.grad([(F.rms_norm(x + added, w, Eps) + (x + added)).square().sum()], [x])[0]!;
        Near.AssertNear(torch.autograd.grad([(mixed + again).square().sum()], [x])[0]!, composed, 1e-5);
    }

    [Test]
    public void Second_derivatives_agree_with_the_composed_form()
    {
        using var scope = torch.NewDisposeScope();
        Tensor[] inputs = [Near.Random([4, 10], "x").requires_grad_(), Near.Random([4, 10], "added").requires_grad_(), Near.Random([10], "w").requires_grad_()];
        Tensor[] Second(Func<(Tensor Sum, Tensor Normal)> of)
        {
            var (sum, normal) = of();
            var first = torch.autograd.grad([(normal.pow(3) * sum).sum()], inputs, create_graph: true);
            return [.. torch.autograd.grad([first.Select(t => t!.square().sum()).Aggregate((a, b) => a + b)], inputs).Select(t => t!)];
        }
        var mine = Second(() => Fused.ResidualNorm(inputs[0], inputs[1], inputs[2], Eps));
        var composed = Second(() => (inputs[0] + inputs[1], F.rms_norm(inputs[0] + inputs[1], inputs[2], Eps)));
        foreach (var (own, other) in mine.Zip(composed)) Near.AssertNear(own, other, 1e-9);
    }

    [Test]
    public void What_cannot_be_added_is_named()
    {
        using var scope = torch.NewDisposeScope();
        Assert.That(() => Fused.ResidualNorm(torch.ones(2, 3), torch.ones(3, 3), torch.ones(3), Eps), Throws.InstanceOf<TorchException>().With.Message.Contains("[3, 3]").And.Message.Contains("[2, 3]"));
        Assert.That(() => Fused.ResidualNorm(torch.ones(2, 3), torch.ones([2, 3], torch.float64), torch.ones(3), Eps), Throws.InstanceOf<TorchException>().With.Message.Contains("Double"));
        Assert.That(() => Fused.ResidualNorm(torch.ones(2, 3), torch.ones(2, 3), torch.ones(4), Eps), Throws.InstanceOf<TorchException>().With.Message.Contains("[4]"));
    }
}
