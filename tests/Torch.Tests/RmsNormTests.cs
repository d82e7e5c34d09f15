// Our own operator with a gradient, against the formula composed from ATen and against finite differences.

using F = PeftAlign.Torch.torch.nn.functional;

namespace PeftAlign.Torch.Tests;

public sealed class RmsNormTests(string instructions) : KernelTests(instructions)
{
    private const double Eps = 1e-5;

    // Widths around the 16 and 8 lanes and the 64 columns of a task; rows around the 128 of a partial sum.
    [TestCase(1, 1)]
    [TestCase(3, 7)]
    [TestCase(2, 16)]
    [TestCase(5, 65)]
    [TestCase(300, 100)]
    public void Float64_agrees_with_the_formula_forward_and_backward(long rows, long width)
    {
        using var scope = torch.NewDisposeScope();
        var (x, w) = (Near.Random([rows, width], "x").requires_grad_(), Near.Random([width], "w").requires_grad_());
        var g = Near.Random([rows, width], "g");
        var (actual, expected) = (F.rms_norm(x, w, Eps), w * Normalised(x));
        Near.AssertNear(actual, expected, 1e-13);
        var mine = torch.autograd.grad([actual], [x, w], [g]);
        var composed = torch.autograd.grad([expected], [x, w], [g]);
        Near.AssertNear(mine[0], composed[0], 1e-12);
        Near.AssertNear(mine[1], composed[1], 1e-12);
    }

    [Test]
    public void Float32_agrees_with_float64()
    {
        using var scope = torch.NewDisposeScope();
        var (x, w, g) = (Near.Random([200, 333], "x"), Near.Random([333], "w"), Near.Random([200, 333], "g"));
        var (xs, ws) = (x.to(torch.float32).requires_grad_(), w.to(torch.float32).requires_grad_());
        var (xd, wd) = (xs.detach().to(torch.float64).requires_grad_(), ws.detach().to(torch.float64).requires_grad_());
        var (single, wide) = (F.rms_norm(xs, ws, Eps), F.rms_norm(xd, wd, Eps));
        Near.AssertNear(single, wide, 1e-6);
        var (a, b) = (torch.autograd.grad([single], [xs, ws], [g.to(torch.float32)]), torch.autograd.grad([wide], [xd, wd], [g.to(torch.float32).to(torch.float64)]));
        Near.AssertNear(a[0], b[0], 2e-6);
        Near.AssertNear(a[1], b[1], 5e-5); // a sum of 200 terms of size 1 each
    }

    // LlamaRMSNorm: float32 inside, back to the input's dtype, then times the weight.
    [TestCase(torch.ScalarType.BFloat16)]
    [TestCase(torch.ScalarType.Float16)]
    public void Half_precision_rounds_where_Hugging_Face_rounds(torch.ScalarType dtype)
    {
        using var scope = torch.NewDisposeScope();
        var (x, w) = (Near.Random([37, 130], "x").to(dtype), Near.Random([130], "w").to(dtype));
        var wide = x.to(torch.float32);
        var expected = w * (wide * (wide.square().mean([-1], true) + Eps).rsqrt()).to(dtype);
        var actual = F.rms_norm(x, w, Eps);
        Assert.That(actual.dtype, Is.EqualTo(dtype));
        // The sums' order may move a value across a rounding border, once in thousands.
        Assert.That(actual.ne(expected).sum().item<long>(), Is.LessThanOrEqualTo(5));
        Near.AssertNear(actual, expected, dtype == torch.bfloat16 ? 1.0 / 64 : 1.0 / 512);
    }

    [Test]
    public void Half_precision_gradients_agree_with_float32()
    {
        using var scope = torch.NewDisposeScope();
        var (x, w, g) = (Near.Random([40, 96], "x").to(torch.bfloat16).requires_grad_(), Near.Random([96], "w").to(torch.bfloat16).requires_grad_(), Near.Random([40, 96], "g").to(torch.bfloat16));
        var (xs, ws) = (x.detach().to(torch.float32).requires_grad_(), w.detach().to(torch.float32).requires_grad_());
        var a = torch.autograd.grad([F.rms_norm(x, w, Eps)], [x, w], [g]);
        var b = torch.autograd.grad([F.rms_norm(xs, ws, Eps)], [xs, ws], [g.to(torch.float32)]);
        Assert.That(a[0].dtype, Is.EqualTo(torch.bfloat16));
        Near.AssertNear(a[0], b[0], 1.0 / 128);
        Near.AssertNear(a[1], b[1], 1.0 / 32);
    }

    [Test]
    public void Gradients_agree_with_finite_differences()
    {
        using var scope = torch.NewDisposeScope();
        var g = Near.Random([2, 3, 5], "g");
        Near.AssertGradients(t => F.rms_norm(t[0], t[1], Eps) * g, Near.Random([2, 3, 5], "x"), Near.Random([5], "w"));
    }

    [Test]
    public void Second_derivatives_agree_with_finite_differences()
    {
        using var scope = torch.NewDisposeScope();
        var (g, h) = (Near.Random([3, 5], "g"), Near.Random([3, 5], "h"));
        Near.AssertGradients(t =>
        {
            using var on = torch.enable_grad();
            var (x, w) = (t[0].requires_grad ? t[0] : t[0].detach().requires_grad_(), t[1].requires_grad ? t[1] : t[1].detach().requires_grad_());
            var first = torch.autograd.grad([(F.rms_norm(x, w, Eps) * g).sum()], [x, w], create_graph: true);
            return (first[0] * h).sum() + first[1].pow(2).sum();
        }, Near.Random([3, 5], "x"), Near.Random([5], "w"));
    }

    [Test]
    public void Inputs_need_not_be_contiguous()
    {
        using var scope = torch.NewDisposeScope();
        var (x, w) = (Near.Random([20, 6], "x").t().requires_grad_(), Near.Random([40], "w").slice(0, 0, 40, 2).requires_grad_());
        var g = Near.Random([20, 6], "g").t();
        var (actual, expected) = (F.rms_norm(x, w, Eps), w * Normalised(x));
        Near.AssertNear(actual, expected, 1e-13);
        var (a, b) = (torch.autograd.grad([actual], [x, w], [g]), torch.autograd.grad([expected], [x, w], [g]));
        Near.AssertNear(a[0], b[0], 1e-12);
        Near.AssertNear(a[1], b[1], 1e-12);
    }

    [Test]
    public void Only_what_asks_for_a_gradient_gets_one()
    {
        using var scope = torch.NewDisposeScope();
        var (x, w) = (Near.Random([4, 6], "x").requires_grad_(), Near.Random([6], "w"));
        var y = F.rms_norm(x, w, Eps);
        Assert.That(y.requires_grad, Is.True);
        y.sum().backward();
        Assert.That(x.grad, Is.Not.Null);
        Assert.That(w.grad, Is.Null);
        using (torch.no_grad()) Assert.That(F.rms_norm(x, w, Eps).requires_grad, Is.False);
        using (torch.inference_mode()) Near.AssertNear(F.rms_norm(x, w, Eps), y, 1e-15);
    }

    [Test]
    public void Mixed_dtypes_and_no_rows_work()
    {
        using var scope = torch.NewDisposeScope();
        var x = Near.Random([3, 6], "x").to(torch.bfloat16);
        Assert.That(F.rms_norm(x, torch.ones(6), Eps).dtype, Is.EqualTo(torch.float32));
        var none = torch.zeros([0, 6], requires_grad: true);
        var w = torch.ones([6], requires_grad: true);
        F.rms_norm(none, w, Eps).sum().backward();
        Assert.That(none.grad!.shape, Is.EqualTo(new long[] { 0, 6 }));
        Assert.That(w.grad!.abs().sum().item<float>(), Is.Zero);
    }

    [Test]
    public void The_weights_gradient_is_the_same_for_any_number_of_threads()
    {
        using var scope = torch.NewDisposeScope();
        var (x, w) = (Near.Random([500, 300], "x", torch.float32), Near.Random([300], "w", torch.float32).requires_grad_());
        var before = torch.get_num_threads();
        var results = new[] { 1, 2, before }.Select(threads =>
        {
            torch.set_num_threads(threads);
            return torch.autograd.grad([F.rms_norm(x, w, Eps).square().sum()], [w])[0];
        }).ToList();
        torch.set_num_threads(before);
        Assert.That(results[0].equal(results[1]) && results[0].equal(results[2]), Is.True);
    }

    [Test]
    public void Wrong_arguments_are_named()
    {
        using var scope = torch.NewDisposeScope();
        Assert.That(() => F.rms_norm(torch.ones(2, 3), torch.ones(4), Eps), Throws.InstanceOf<TorchException>().With.Message.Contains("[4]").And.Message.Contains("[2, 3]"));
        Assert.That(() => F.rms_norm(torch.ones([2, 3], torch.int64), torch.ones(3), Eps), Throws.InstanceOf<TorchException>().With.Message.Contains("floating-point"));
        Assert.That(() => F.rms_norm(torch.tensor(1.0), torch.ones(1), Eps), Throws.InstanceOf<TorchException>());
    }

    private static Tensor Normalised(Tensor x) => x * (x.square().mean([-1], true) + Eps).rsqrt();
}
