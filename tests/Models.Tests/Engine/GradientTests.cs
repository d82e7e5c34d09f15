// Gradients of the engine's own autograd nodes, and of the whole decoder, against finite differences in float64; attention
// against the same formula written with single operators, too.

using PeftAlign.Abstractions;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Torch;

namespace PeftAlign.Models.Tests.Engine;

public sealed class GradientTests : ScopedTest
{
    private const double Step = 1e-5;

    // (f(x + h) - f(x - h)) / 2h for some entries of each leaf, against autograd.
    internal static void AssertGradients(Func<Tensor> loss, IEnumerable<(string Name, Tensor Leaf)> leaves, double tolerance, int entries = 12)
    {
        var named = leaves.ToList();
        var gradients = torch.autograd.grad([loss()], named.Select(l => l.Leaf).ToList());
        using var off = torch.no_grad();
        for (var k = 0; k < named.Count; k++)
        {
            using var scope = torch.NewDisposeScope();
            var (flat, gradient) = (named[k].Leaf.detach().view(-1), gradients[k].contiguous().view(-1));
            var stride = Math.Max(1, flat.numel() / entries);
            for (long e = 0; e < flat.numel(); e += stride)
            {
                var place = flat.narrow(0, e, 1);
                place.add_(Step);
                var above = loss().item<double>();
                place.sub_(2 * Step);
                var below = loss().item<double>();
                place.add_(Step);
                Assert.That(gradient.narrow(0, e, 1).item<double>(), Is.EqualTo((above - below) / (2 * Step)).Within(tolerance), $"{named[k].Name}, entry {e}");
            }
        }
    }

    private static Tensor Leaf(string name, params long[] shape) => Tiny.Normal(name, shape, torch.float64).requires_grad_();

    private static readonly List<CompletionGroup> Trees = [
        new([1, 2, 3], [Completion.Of([4, 5]), Completion.Of([6, 7, 8, 9])]), new([1], [Completion.Of([2, 3, 4])]), new([5, 6], [Completion.Of([1])])];

    [TestCase(4, 2, true, null, null, true)]
    [TestCase(4, 4, true, null, null, true)]
    [TestCase(6, 1, false, null, null, true)]
    [TestCase(4, 2, true, 2, null, true)]
    [TestCase(4, 2, false, 3, 1.5, true)]
    [TestCase(4, 4, true, null, 0.7, false)]
    [TestCase(4, 1, true, 1, null, false)]
    public void Attention_by_finite_differences_and_by_single_operators(int heads, int groups, bool buckets, int? window, double? cap, bool turned)
    {
        var spec = Tiny.Spec() with { Heads = heads, KeyValueHeads = groups };
        using var pack = Pack.Of(Trees, 100, new Place(torch.CPU, torch.float64, buckets ? 1 : 1 << 24) { Windows = [null, window] }).Single();
        Assert.That(pack.Buckets, Has.Count.EqualTo(buckets ? 1 : 3));
        var rows = pack.Tokens.numel();
        var form = new AttentionForm(turned ? Rotary.Of(spec, pack.Positions, torch.float64) : null, 0.4, cap, window);
        var (q, k, v) = (Leaf("q", rows, heads, 6), Leaf("k", rows, groups, 6), Leaf("v", rows, groups, 6));
        var weight = Tiny.Normal("w", [rows, heads, 6], torch.float64);
        Tensor Mine() => (TreeAttention.apply(q, k, v, pack.Buckets, form) * weight).sum();
        Tensor Plain() => (PlainAttention(q, k, v, pack, turned ? spec.Rope!.Theta : double.PositiveInfinity, form) * weight).sum();
        AssertGradients(Mine, [("q", q), ("k", k), ("v", v)], 1e-8);
        Assert.That(Mine().item<double>(), Is.EqualTo(Plain().item<double>()).Within(1e-5)); // frequencies are rounded to float32
        var (mine, plain) = (torch.autograd.grad([Mine()], [q, k, v]), torch.autograd.grad([Plain()], [q, k, v]));
        for (var t = 0; t < 3; t++) Assert.That(Tiny.Worst(mine[t], plain[t]), Is.LessThan(1e-5));
    }

    // One row at a time: rotate by complex multiplication, look at every row of the group that lies on the path to it.
    private static Tensor PlainAttention(Tensor q, Tensor k, Tensor v, Pack pack, double theta, AttentionForm form)
    {
        var (positions, half) = (pack.Positions.data<long>().ToArray(), (int)q.size(2) / 2);
        Tensor Turned(Tensor x, int row)
        {
            if (double.IsInfinity(theta)) return x.select(0, row);
            var angles = torch.tensor(Enumerable.Range(0, half).Select(j => positions[row] * Math.Pow(theta, -2.0 * j / (2 * half))).ToArray());
            var (re, im) = (x.select(0, row).narrow(1, 0, half), x.select(0, row).narrow(1, half, half));
            return torch.cat([re * angles.cos() - im * angles.sin(), re * angles.sin() + im * angles.cos()], 1); // (heads, D)
        }
        var ratio = q.size(1) / k.size(1);
        var rows = new List<Tensor>();
        foreach (var segment in pack.Segments)
        {
            for (int b = 0, first = segment.Start; b < segment.Branches.Length; first += segment.Branches[b], b++)
            {
                for (var row = first; row < first + segment.Branches[b]; row++)
                {
                    var path = Enumerable.Range(segment.Start, b == 0 ? 0 : segment.Branches[0]).Concat(Enumerable.Range(first, row - first + 1))
                        .Where(p => form.Window is null || positions[row] - positions[p] < form.Window).ToList();
                    var keys = torch.stack(path.Select(p => Turned(k, p)).ToList()).repeat_interleave(ratio, 1); // (S, H, D)
                    var values = torch.stack(path.Select(p => v.select(0, p)).ToList()).repeat_interleave(ratio, 1);
                    var scores = (keys * Turned(q, row)).sum(-1) * form.Scale; // (S, H)
                    if (form.Cap is { } cap) scores = (scores / cap).tanh() * cap;
                    var weights = scores.softmax(0).unsqueeze(-1); // (S, H, 1)
                    rows.Add((weights * values).sum(dim: 0));
                }
            }
        }
        return torch.stack(rows);
    }

    [Test]
    public void Head_by_finite_differences([Values] bool trained, [Values(3, 256)] long chunkRows, [Values(0, 0.8)] double cap, [Values("none", "frozen", "trained")] string biased)
    {
        var bias = biased == "none" ? null : Tiny.Normal("bias", [11], torch.float64).requires_grad_(biased == "trained");
        var (hidden, head) = (Leaf("hidden", 8, 5), Tiny.Normal("head", [11, 5], torch.float64).requires_grad_(trained));
        var targets = torch.tensor(new long[] { 3, 0, 10, 3, 7, 7, 1, 9 });
        var weight = Tiny.Normal("weight", [8], torch.float64);
        object[] inputs = [hidden, head, targets, new HeadAnswers([], chunkRows, cap)];
        Tensor Loss() => (HeadLogProbs.apply(bias is null ? inputs : [.. inputs, false, bias])[0] * weight).sum();
        var logits = hidden.mm(head.t());
        if (bias is not null) logits += bias;
        if (cap > 0) logits = (logits / cap).tanh() * cap;
        var reference = (logits.log_softmax(-1).gather(1, targets.unsqueeze(1)).squeeze(1) * weight).sum();
        Assert.That(Loss().item<double>(), Is.EqualTo(reference.item<double>()).Within(1e-12));
        (string, Tensor)[] heads = trained ? [("head", head)] : [], biases = biased == "trained" ? [("bias", bias!)] : [];
        AssertGradients(Loss, [("hidden", hidden), .. heads, .. biases], 1e-8, entries: 60);
    }

    [TestCase(true, 3, 0)]
    [TestCase(false, 3, 0)]
    [TestCase(false, 256, 0)]
    [TestCase(true, 3, 2)]
    [TestCase(false, 3, 2)]
    public void Mean_log_probs_by_finite_differences(bool trained, long chunkRows, double cap)
    {
        var (hidden, head) = (Leaf("hidden", 8, 5), Tiny.Normal("head", [11, 5], torch.float64).requires_grad_(trained));
        var targets = torch.tensor(new long[] { 3, 0, 10, 3, 7, 7, 1, 9 });
        var (weight, other) = (Tiny.Normal("weight", [8], torch.float64), Tiny.Normal("other", [8], torch.float64));
        Tensor Loss()
        {
            var outputs = HeadLogProbs.apply(hidden, head, targets, new HeadAnswers(["mean_log_prob"], chunkRows, cap));
            return (outputs[0] * weight).sum() + (outputs[1] * other).sum();
        }
        var logits = hidden.mm(head.t());
        var logProbs = (cap > 0 ? (logits / cap).tanh() * cap : logits).log_softmax(-1);
        var reference = (logProbs.gather(1, targets.unsqueeze(1)).squeeze(1) * weight).sum() + (logProbs.mean([1]) * other).sum();
        Assert.That(Loss().item<double>(), Is.EqualTo(reference.item<double>()).Within(1e-12));
        AssertGradients(Loss, trained ? [("hidden", hidden), ("head", head)] : [("hidden", hidden)], 1e-8, entries: 60);
    }

    [Test]
    public void A_turn_and_its_inverse()
    {
        var rotary = Rotary.Of(Tiny.Spec(), torch.tensor(new long[] { 0, 1, 5, 300 }), torch.float64)!;
        var x = Tiny.Normal("x", [4, 3, 6], torch.float64);
        Assert.That(Tiny.Worst(rotary.TurnBack(rotary.Turn(x)), x), Is.LessThan(1e-6), "cos^2 + sin^2 of float32 angles");
        Assert.That(Tiny.Worst(rotary.Turn(x).select(0, 0), x.select(0, 0)), Is.Zero, "position 0 stays");
        Assert.That(Tiny.Worst(rotary.Turn(x).norm(2, false, 2), x.norm(2, false, 2)), Is.LessThan(1e-6));
        // Position 5, dimension 1 of 3: angle 5 * 10000^(-2/6).
        var angle = 5 * Math.Pow(10000, -2.0 / 6);
        var (re, im) = (x[2, 0, 1].item<double>(), x[2, 0, 4].item<double>());
        Assert.That(rotary.Turn(x)[2, 0, 1].item<double>(), Is.EqualTo(re * Math.Cos(angle) - im * Math.Sin(angle)).Within(1e-6));
        Assert.That(rotary.Turn(x)[2, 0, 4].item<double>(), Is.EqualTo(re * Math.Sin(angle) + im * Math.Cos(angle)).Within(1e-6));
    }

    [TestCase(0.0)]
    [TestCase(0.3)]
    public void The_whole_decoder_by_its_adapter(double dropout)
    {
        var model = Tiny.Model(torch.float64);
        var deltas = Tiny.Deltas(model, torch.float64, dropout).ToDictionary(d => d.Key, d => d.Value.With(role => d.Value.Parameters[role].detach().requires_grad_()));
        var mode = new ForwardMode { Deltas = deltas, Dropout = dropout > 0 ? new DropoutKey(1, 2) : null };
        var leaves = deltas.SelectMany(d => d.Value.Parameters.Select(p => ($"{d.Key}.{p.Key}", p.Value)));
        AssertGradients(() => Weighted(model, mode), leaves, 1e-7, entries: 4);
    }

    [TestCase(true)]
    [TestCase(false)]
    public void The_whole_decoder_by_its_weights(bool tied)
    {
        var model = Tiny.Model(torch.float64, Tiny.Spec(tied));
        foreach (var (name, weight) in model.Weights.ToList()) model.SetWeight(name, weight.requires_grad_());
        AssertGradients(() => Weighted(model, ForwardMode.Plain), model.Weights.Select(w => (w.Key, w.Value)), 1e-7, entries: 4);
    }

    [Test]
    public void The_padding_row_of_the_embedding_gets_no_gradient()
    {
        Tensor Gradient(long? pad)
        {
            var model = Tiny.Model(torch.float64, Tiny.Spec() with { PadToken = pad });
            var embedding = model.Weights["model.embed_tokens.weight"].requires_grad_();
            model.SetWeight("model.embed_tokens.weight", embedding);
            return torch.autograd.grad([Weighted(model, ForwardMode.Plain)], [embedding])[0];
        }
        var (without, with) = (Gradient(null), Gradient(2));
        Assert.That(without.select(0, 2).abs().max().item<double>(), Is.GreaterThan(0.01));
        Assert.That(with.select(0, 2).abs().max().item<double>(), Is.Zero);
        Assert.That(Tiny.Worst(with.narrow(0, 3, 20), without.narrow(0, 3, 20)), Is.Zero);
    }

    private static Tensor Weighted(DecoderModel model, ForwardMode mode)
    {
        var logProbs = new LogProbEngine(model, 9, 4).LogProbs(Trees, mode);
        return (logProbs * Tiny.Normal("loss", [logProbs.numel()], torch.float64)).sum();
    }
}
