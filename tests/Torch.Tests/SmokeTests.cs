using PeftAlign.Torch.Extras;

namespace PeftAlign.Torch.Tests;

public sealed class SmokeTests
{
    [Test]
    public void Autograd_flows_through_the_dispatcher()
    {
        using var scope = torch.NewDisposeScope();
        var x = torch.tensor(new[] { 1.0, 2.0, 3.0 }, requires_grad: true);
        var y = (x * x).sum();
        y.backward();
        Assert.That(x.grad!.data<double>().ToArray(), Is.EqualTo(new[] { 2.0, 4.0, 6.0 }));
        Assert.That(y.grad_fn_name, Does.Contain("Sum"));
    }

    [Test]
    public void This_libtorch_has_every_operator_that_the_binding_calls() =>
        Assert.That(LibTorch.MissingOperators().Where(n => !n.StartsWith("peftalign")), Is.Empty);

    [Test]
    public void A_wrong_shape_names_operator_shapes_and_cause()
    {
        using var scope = torch.NewDisposeScope();
        var e = Assert.Throws<TorchException>(() => torch.ones(2, 3).mm(torch.ones(4, 5)))!;
        Assert.That(e.Message, Does.Contain("aten::mm").And.Contain("[2, 3]").And.Contain("[4, 5]").And.Contain("cannot be multiplied"));
        TestContext.Out.WriteLine(e.Message);
        TestContext.Out.WriteLine(LibTorch.Version + " " + LibTorch.OpenTime + LibTorch.Describe());
    }

    private sealed class Cube : torch.autograd.SingleTensorFunction<Cube>
    {
        public override string Name => "Cube";
        public override Tensor forward(torch.autograd.AutogradContext ctx, params object[] vars)
        {
            var x = (Tensor)vars[0];
            ctx.save_for_backward([x]);
            return x.pow(3);
        }
        public override List<Tensor?> backward(torch.autograd.AutogradContext ctx, Tensor grad_output)
        {
            var x = ctx.get_saved_variables()[0];
            return [grad_output * x * x * 3];
        }
    }

    [Test]
    public void A_function_in_managed_code_has_first_and_second_derivatives()
    {
        using var scope = torch.NewDisposeScope();
        var x = torch.tensor(new[] { 2.0 }, requires_grad: true);
        var y = Cube.apply(x);
        var g = torch.autograd.grad([y], [x], create_graph: true)[0];
        Assert.That(g.item<double>(), Is.EqualTo(12.0));
        var gg = torch.autograd.grad([g], [x])[0];
        Assert.That(gg.item<double>(), Is.EqualTo(12.0));
    }
}
