// Gradient checkpointing by blocks: the same log-probs, statistics and gradients as a kept graph gives, bit for bit, in every family,
// under every kind of change, with dropout, fronts and controls, and for all weights.

using PeftAlign.Abstractions;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Torch;

namespace PeftAlign.Models.Tests.Engine;

public sealed class RecomputedTests : ScopedTest
{
    private static readonly List<CompletionGroup> Batch = [.. Tiny.Groups(5, longest: 9), .. Tiny.Groups(1, longest: 30), new([1, 2], [Completion.Of([3, 4]) with { Gradient = false }])];

    private static IEnumerable<string> Names => Families.Names;

    private static Tensor Leaf(string name, params long[] shape) => Tiny.Normal(name, shape, torch.float32, 0.3).requires_grad_();

    // Kinds by module kind, one after another over the blocks' linear layers; what a family cannot take is left out.
    private static Dictionary<string, Delta> Everything(DecoderModel model)
    {
        var (spec, deltas) = (model.Spec, new Dictionary<string, Delta>());
        var modules = model.Outline("tiny").Modules;
        foreach (var (k, module) in modules.Where(m => m.Kind == ModuleKind.Linear).Index())
        {
            LowRank Low(double dropout) => new(Leaf($"a{k}", 3, module.Inputs), Leaf($"b{k}", module.Outputs, 3), 0.7, dropout);
            deltas[module.Name] = (k % 6) switch
            {
                0 => Low(0.3),
                1 => Low(0) with { Magnitude = Leaf($"m{k}", module.Outputs) },
                2 => Low(0.2) with { Start = (Tiny.Normal($"sa{k}", [3, module.Inputs], torch.float32), Tiny.Normal($"sb{k}", [module.Outputs, 3], torch.float32)) },
                3 => new Scale(Leaf($"s{k}", module.Inputs), OfInputs: true),
                4 => new Wrap(Leaf($"d{k}", 4, module.Outputs), Leaf($"db{k}", 4), Leaf($"u{k}", module.Outputs, 4), Leaf($"ub{k}", module.Outputs), Activation.Gelu),
                _ => new Stack([Low(0), new Scale(Leaf($"o{k}", module.Outputs), OfInputs: false)]),
            };
        }
        foreach (var norm in modules.Where(m => m.Kind == ModuleKind.Norm)) deltas[norm.Name] = new Whole(Leaf(norm.Name, norm.Outputs), null);
        deltas[spec.Names.Embedding] = new Stack([new PrefixKV(Leaf("prefix", 2, 2 * spec.Layers * spec.KeyValueHeads * spec.HeadWidth)), new VirtualTokens(Leaf("tokens", 3, spec.EmbeddingWidth)), new TokenRows([4, 7], Leaf("rows", 2, spec.EmbeddingWidth))]);
        return deltas;
    }

    private static void AssertSame(DecoderModel model, IReadOnlyList<(string Name, Tensor Leaf)> leaves, ForwardMode mode, IReadOnlyList<CompletionGroup> batch, long packRows)
    {
        (Tensor LogProbs, Tensor Entropy, List<Tensor?> Gradients) Passed(bool recompute)
        {
            foreach (var (_, leaf) in leaves) leaf.grad = null;
            using var pass = new LogProbEngine(model, packRows, chunkRows: 7).Pass(batch, mode, new PassNeeds { Recompute = recompute, Statistics = ["entropy", "mean_log_prob"] });
            ((pass.LogProbs * torch.arange(pass.LogProbs.numel(), torch.float32, pass.LogProbs.device).sin()).sum() + pass.Statistics["mean_log_prob"].sum()).backward();
            pass.Backward();
            return (pass.LogProbs.detach(), pass.Statistics["entropy"], [.. leaves.Select(l => l.Leaf.grad?.clone())]);
        }
        var (kept, again) = (Passed(false), Passed(true));
        Assert.That(Tiny.Worst(again.LogProbs, kept.LogProbs), Is.Zero);
        Assert.That(Tiny.Worst(again.Entropy, kept.Entropy), Is.Zero);
        foreach (var (k, (name, _)) in leaves.Index())
        {
            Assert.That(again.Gradients[k] is null, Is.EqualTo(kept.Gradients[k] is null), name);
            if (kept.Gradients[k] is not { } gradient) continue;
            Assert.That(gradient.abs().max().item<float>(), Is.Positive, name);
            Assert.That(Tiny.Worst(again.Gradients[k]!, gradient), Is.Zero, name);
        }
    }

    [TestCaseSource(nameof(Names))]
    public void Every_adapter_gives_the_same_bits(string family)
    {
        var model = Tiny.Model(torch.float32, Families.Spec(family));
        var deltas = Everything(model);
        var leaves = deltas.SelectMany(d => d.Value.Parameters.Select(p => ($"{d.Key}.{p.Key}", p.Value))).ToList();
        foreach (var packRows in (long[])[1, 40, 4096])
            AssertSame(model, leaves, new ForwardMode { Deltas = deltas, Dropout = new DropoutKey(3, 5) }, Batch, packRows);
    }

    [TestCaseSource(nameof(Names))]
    public void All_weights_give_the_same_bits(string family)
    {
        var model = Tiny.Model(torch.float32, Families.Spec(family));
        foreach (var (name, weight) in model.Weights.ToList()) model.SetWeight(name, weight.requires_grad_());
        AssertSame(model, [.. model.Weights.Select(w => (w.Key, w.Value))], ForwardMode.Plain, Batch, 40);
    }

    [Test]
    public void Controls_by_row_give_the_same_bits()
    {
        var model = Tiny.Model(torch.float32);
        IReadOnlyDictionary<string, Delta> Own(string name) => model.Outline("tiny").Modules.Where(m => m.Kind == ModuleKind.Linear).ToDictionary(m => m.Name, m =>
            (Delta)new LowRank(Leaf(name + m.Name + "a", 2, m.Inputs), Leaf(name + m.Name + "b", m.Outputs, 2), 1, 0.2));
        var controls = new Dictionary<string, IReadOnlyDictionary<string, Delta>> { ["good"] = Own("good"), ["bad"] = Own("bad") };
        string?[] names = ["good", null, "bad", "bad", null, "good", null];
        var leaves = controls.SelectMany(c => c.Value.SelectMany(d => d.Value.Parameters.Select(p => ($"{c.Key} {d.Key}.{p.Key}", p.Value)))).ToList();
        AssertSame(model, leaves, new ForwardMode { Controls = controls, Dropout = new DropoutKey(3, 5) }, [.. Batch.Zip(names, (g, name) => g with { Control = name })], 40);
    }

    // Packs behind the first rows keep nothing at all.
    [Test]
    public void A_batch_of_many_packs_gives_the_same_bits()
    {
        var model = Tiny.Model(torch.float32);
        var deltas = Tiny.Deltas(model, torch.float32, dropout: 0.2).ToDictionary(d => d.Key, d => d.Value.With(role => d.Value.Parameters[role].requires_grad_()));
        var leaves = deltas.SelectMany(d => d.Value.Parameters.Select(p => ($"{d.Key}.{p.Key}", p.Value))).ToList();
        var batch = Tiny.Groups(160, longest: 60);
        Assert.That(batch.Sum(Pack.RowsOf), Is.GreaterThan(1 << 13));
        AssertSame(model, leaves, new ForwardMode { Deltas = deltas, Dropout = new DropoutKey(3, 5) }, batch, 2048);
    }

    // Below the lowest trained tensor nothing is computed again, and nothing flows back.
    [Test]
    public void A_part_that_no_gradient_leaves_is_computed_once()
    {
        var computed = 0;
        Tensor[] Double(IReadOnlyList<Tensor> flowing)
        {
            computed++;
            return [flowing[0] * 2];
        }
        Assert.That(Recomputed.Of(Double, [torch.zeros([3])], [])[0].requires_grad, Is.False);
        Assert.That(computed, Is.EqualTo(1));
        Recomputed.Of(Double, [torch.zeros([3]).requires_grad_()], [])[0].sum().backward();
        Assert.That(computed, Is.EqualTo(3));
    }
}
