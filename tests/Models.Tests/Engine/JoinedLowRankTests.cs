// Joined products under LoRA: outputs and gradients are those of each layer computed by itself; what cannot be joined is not.

using PeftAlign.Abstractions;
using PeftAlign.Models.Decoders;
using PeftAlign.Torch;

namespace PeftAlign.Models.Tests.Engine;

public sealed class JoinedLowRankTests : ScopedTest
{
    private static Tensor Draw(string name, params long[] shape) => Tiny.Normal(name, shape, torch.float64);

    // Three layers as q, k and v: k without a change, v with a bias and stored (in, out).
    private static Layer[] Layers() =>
        [new("q", Draw("q", 6, 5)), new("k", Draw("k", 4, 5)), new("v", Draw("v", 5, 4), Draw("bias", 4)) { Transposed = true }];

    private static Dictionary<string, Delta> Changes(double dropout = 0) => new()
    {
        ["q"] = new LowRank(Draw("qa", 3, 5).requires_grad_(), Draw("qb", 6, 3).requires_grad_(), 0.7, dropout),
        ["v"] = new LowRank(Draw("va", 2, 5).requires_grad_(), Draw("vb", 4, 2).requires_grad_(), 1.3, dropout),
    };

    // Stands for a matrix in fewer bits: it is there only while it is decoded.
    private sealed class Decoded(Tensor matrix) : QuantizedMatrix(matrix.size(0), matrix.size(1))
    {
        public override torch.Device Device => matrix.device;

        public override torch.ScalarType StoredType => matrix.dtype;

        public override long Bytes => 0;

        public override IReadOnlyDictionary<string, Tensor> Parts => new Dictionary<string, Tensor>();

        public override void Decode(Tensor target) => target.copy_(matrix);

        protected override void Dispose(bool disposing)
        {
        }
    }

    [TestCase(true, false)]
    [TestCase(false, false)]
    [TestCase(true, true)]
    [TestCase(false, true)]
    public void Outputs_and_gradients_are_each_layers_own(bool below, bool quantized)
    {
        var (layers, joined, apart) = (Layers(), Changes(), Changes());
        if (quantized) layers = Array.ConvertAll(layers, layer => layer with { Stored = null, Quantized = (new Decoded(layer.Matrix), torch.float64) });
        var (x, own) = (Draw("x", 7, 5), Draw("x", 7, 5));
        if (below) (x, own) = (x.requires_grad_(), own.requires_grad_());
        var outputs = JoinedLowRank.Of(layers, x, new ForwardMode { Deltas = joined })!;
        var expected = layers.Select(layer => apart.TryGetValue(layer.Module, out var delta) ? Deltas.Linear(layer, own, delta, (input, _) => input) : layer.Product(own)).ToList();
        foreach (var (y, e) in outputs.Zip(expected)) Assert.That(Tiny.Worst(y, e), Is.LessThan(1e-12));
        static Tensor Loss(IEnumerable<Tensor> all) => all.Select((y, k) => (y.sin() * (k + 1)).sum()).Aggregate((a, b) => a + b);
        Loss(outputs).backward();
        Loss(expected).backward();
        foreach (var (name, delta) in apart)
            foreach (var (role, leaf) in delta.Parameters)
                Assert.That(Tiny.Worst(joined[name].Parameters[role].grad!, leaf.grad!), Is.LessThan(1e-12), $"{name} {role}");
        if (below) Assert.That(Tiny.Worst(x.grad!, own.grad!), Is.LessThan(1e-12));
        else Assert.That(x.grad, Is.Null);
    }

    // A float32 adapter over a bfloat16 base: outputs and the input's gradient are rounded once, the adapter's gradients are float32.
    [TestCase(false)]
    [TestCase(true)]
    public void A_float32_adapter_over_a_bfloat16_base(bool quantized)
    {
        static Layer Narrow(Layer layer) => layer with { Stored = layer.Stored!.to(torch.bfloat16), Bias = layer.Bias?.to(torch.bfloat16) };
        var (layers, changes, exact) = (Array.ConvertAll(Layers(), Narrow), Changes(), Changes());
        foreach (var name in (string[])["q", "v"])
            (changes[name], exact[name]) = (In(changes[name], torch.float32), In(In(exact[name], torch.float32), torch.float64));
        if (quantized) layers = Array.ConvertAll(layers, layer => layer with { Stored = null, Quantized = (new Decoded(layer.Matrix), torch.bfloat16) });
        var x = Draw("x", 7, 5).to(torch.bfloat16).requires_grad_();
        var own = x.detach().to(torch.float64).requires_grad_();
        var outputs = JoinedLowRank.Of(layers, x, new ForwardMode { Deltas = changes })!;
        Assert.That(outputs.Select(y => y.dtype), Is.All.EqualTo(torch.bfloat16));
        var expected = Array.ConvertAll(Layers(), Narrow).Select(layer =>
        {
            var wide = layer with { Stored = layer.Stored!.to(torch.float64), Bias = layer.Bias?.to(torch.float64) };
            return exact.TryGetValue(layer.Module, out var delta) ? Deltas.Linear(wide, own, delta, (input, _) => input) : wide.Product(own);
        }).ToList();
        foreach (var (y, e) in outputs.Zip(expected)) Assert.That(Tiny.Worst(y.to(torch.float64), e) / e.abs().amax([0, 1]).item<double>(), Is.LessThan(Math.Pow(2, -8) * 1.01));
        foreach (var all in (IEnumerable<Tensor>[])[outputs, expected]) all.Select((y, k) => (y * (k + 1)).sum()).Aggregate((a, b) => a + b).backward();
        foreach (var (name, delta) in exact)
            foreach (var (role, leaf) in delta.Parameters)
            {
                var grad = changes[name].Parameters[role].grad!;
                Assert.That(grad.dtype, Is.EqualTo(torch.float32));
                Assert.That(Tiny.Worst(grad.to(torch.float64), leaf.grad!), Is.LessThan(1e-5), $"{name} {role}");
            }
        Assert.That(Tiny.Worst(x.grad!.to(torch.float64), own.grad!) / own.grad!.abs().amax([0, 1]).item<double>(), Is.LessThan(quantized ? 0.02 : Math.Pow(2, -8) * 1.01));
        static LowRank In(Delta delta, torch.ScalarType type) => (LowRank)delta with { A = ((LowRank)delta).A.detach().to(type).requires_grad_(), B = ((LowRank)delta).B.detach().to(type).requires_grad_() };
    }

    // A tensor that is kept for the backward pass may not change before it, so that a change tells what is kept.
    [TestCase(false, false)]
    [TestCase(true, false)]
    [TestCase(true, true)]
    public void Of_frozen_changes_no_input_is_kept_and_no_gradient_made(bool q, bool v)
    {
        (Tensor Of, Tensor? A) Gradients(bool trainsQ, bool trainsV)
        {
            var (layers, changes, leaf) = (Layers(), Changes(), Draw("x", 7, 5).requires_grad_());
            foreach (var (name, trains) in ((string, bool)[])[("q", trainsQ), ("v", trainsV)])
                foreach (var factor in changes[name].Parameters.Values) factor.requires_grad_(trains);
            var x = leaf * 1;
            var outputs = JoinedLowRank.Of(layers, x, new ForwardMode { Deltas = changes })!;
            var loss = outputs.Select((y, k) => (y.sin() * (k + 1)).sum()).Aggregate((a, b) => a + b);
            if (!trainsQ && !trainsV)
                using (torch.no_grad()) x.mul_(3);
            loss.backward();
            Assert.That(changes["q"].Parameters.Values.Select(factor => factor.grad is not null), Is.All.EqualTo(trainsQ));
            Assert.That(changes["v"].Parameters.Values.Select(factor => factor.grad is not null), Is.All.EqualTo(trainsV));
            return (leaf.grad!, ((LowRank)changes["q"]).A.grad);
        }
        var (one, all) = (Gradients(q, v), Gradients(true, true));
        Assert.That(one.Of.equal(all.Of), Is.True, "the input's gradient, to the bit");
        if (q) Assert.That(one.A!.equal(all.A!), Is.True, "a trained change's, to the bit");
    }

    [Test]
    public void An_input_that_is_kept_may_not_change()
    {
        var x = Draw("x", 7, 5).requires_grad_() * 1;
        var loss = JoinedLowRank.Of(Layers(), x, new ForwardMode { Deltas = Changes() })!.Select(y => y.sum()).Aggregate((a, b) => a + b);
        using (torch.no_grad()) x.mul_(3);
        Assert.That(() => loss.backward(), Throws.TypeOf<TorchException>().With.Message.Contains("inplace"));
    }

    [Test]
    public void What_needs_another_way_is_not_joined()
    {
        var (layers, x) = (Layers(), Draw("x", 7, 5));
        bool Joins(Layer[] of, Dictionary<string, Delta> deltas, DropoutKey? key = null) => JoinedLowRank.Of(of, x, new ForwardMode { Deltas = deltas, Dropout = key }) is not null;
        Assert.That(Joins(layers, Changes()));
        Assert.That(Joins([layers[1]], Changes()), Is.False, "nothing changes k");
        Assert.That(Joins(layers, Changes(dropout: 0.1), new DropoutKey(1, 1)), Is.False, "each drops entries of its own");
        Assert.That(Joins(layers, Changes(dropout: 0.1)), "no dropout outside training");
        var turned = Changes();
        turned["q"] = (LowRank)turned["q"] with { Magnitude = Draw("m", 6) };
        Assert.That(Joins(layers, turned), Is.False, "DoRA");
        Assert.That(Joins([layers[0].With(Draw("q", 6, 5).requires_grad_()), layers[1]], Changes()), Is.False, "a trained weight");
    }
}
