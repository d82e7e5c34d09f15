// The head under every change that it takes: log-probs, statistics and gradients are those of a head whose matrix was made with the
// change inside, and no such matrix is made.

using PeftAlign.Abstractions;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Torch;

namespace PeftAlign.Models.Tests.Engine;

public sealed class AdaptedHeadTests : ScopedTest
{
    private static readonly List<CompletionGroup> Batch = Tiny.Groups(6);

    private static Tensor Leaf(string name, params long[] shape) => Tiny.Normal(name, shape, torch.float64, 0.3).requires_grad_();

    private static Delta Change(string kind)
    {
        var low = new LowRank(Leaf("a", 3, 24), Leaf("b", Tiny.Vocabulary, 3), 0.75, 0);
        return kind switch
        {
            "lora" => low,
            "dora" => low with { Magnitude = Leaf("m", Tiny.Vocabulary) },
            "pissa" => low with { Start = (Leaf("sa", 3, 24).detach(), Leaf("sb", Tiny.Vocabulary, 3).detach()) },
            "rows" => new TokenRows([0, 5, 28], Leaf("rows", 3, 24)),
            "rows twice" => new Stack([new TokenRows([0, 5, 28], Leaf("rows", 3, 24)), new TokenRows([5, 7], Leaf("others", 2, 24))]),
            "whole" => new Whole(Leaf("w", Tiny.Vocabulary, 24), null),
            "bias" => new Whole(null, Leaf("bias", Tiny.Vocabulary)),
            "whole and bias" => new Whole(Leaf("w", Tiny.Vocabulary, 24), Leaf("bias", Tiny.Vocabulary)),
            "lora and bias" => low with { Bias = Leaf("bias", Tiny.Vocabulary) },
            _ => new Stack([new Whole(Leaf("w", Tiny.Vocabulary, 24), null), low, new TokenRows([3], Leaf("row", 1, 24))]),
        };
    }

    // Of a tied embedding's changes only new rows are changes of the head too.
    private static readonly (string Kind, bool Tied)[] Changes = [("lora", false), ("dora", false), ("pissa", false), ("rows", false), ("rows", true), ("rows twice", true), ("whole", false), ("stack", false)];

    // Of models with a bias at the head, too.
    private static readonly string[] OfBiases = ["bias", "whole and bias", "lora and bias"];

    private static IEnumerable<TestCaseData> Cases()
    {
        foreach (var recompute in (bool[])[false, true])
        {
            foreach (var (kind, tied) in Changes)
                foreach (var settings in (string[])["{}", "capped", .. tied ? (string[])[] : ["biased"]]) yield return new TestCaseData(kind, tied, recompute, settings);
            foreach (var kind in OfBiases) yield return new TestCaseData(kind, false, recompute, "biased");
        }
    }

    [TestCaseSource(nameof(Cases))]
    public void Is_the_head_with_the_change_inside(string kind, bool tied, bool recompute, string settings)
    {
        var model = Tiny.Model(torch.float64, settings switch
        {
            "capped" => Families.Spec("gemma2") with { TiedHead = tied },
            "biased" => Families.Spec("phi, norms of heads"),
            _ => Tiny.Spec(tied),
        });
        var (change, module) = (Change(kind), tied ? model.Spec.Names.Embedding : model.Spec.Names.Head);
        var deltas = new Dictionary<string, Delta> { [module] = change };
        Tensor Loss(Tensor logProbs, Tensor mean) => (logProbs * torch.arange(logProbs.numel(), torch.float64, logProbs.device).sin()).sum() + mean.sum();
        (List<Tensor> Gradients, Tensor LogProbs, Tensor Entropy) Mine(long chunkRows)
        {
            foreach (var leaf in change.Parameters.Values) leaf.grad = null;
            using var pass = new LogProbEngine(model, 40, chunkRows).Pass(Batch, new ForwardMode { Deltas = deltas }, new PassNeeds { Recompute = recompute, Statistics = ["entropy", "mean_log_prob"] });
            Loss(pass.LogProbs, pass.Statistics["mean_log_prob"]).backward();
            pass.Backward();
            return ([.. change.Parameters.Values.Select(leaf => leaf.grad!.clone())], pass.LogProbs.detach(), pass.Statistics["entropy"]);
        }
        var (logProbs, mean, entropy) = Plainly(model, module, change, tied);
        var wanted = torch.autograd.grad([Loss(logProbs, mean)], [.. change.Parameters.Values]);
        foreach (var chunkRows in (long[])[5, 256])
        {
            var (gradients, answers, statistic) = Mine(chunkRows);
            Assert.That(Tiny.Worst(answers, logProbs), Is.LessThan(1e-9));
            Assert.That(Tiny.Worst(statistic, entropy), Is.LessThan(1e-9));
            foreach (var (gradient, expected) in gradients.Zip(wanted)) Assert.That(Tiny.Worst(gradient, expected), Is.LessThan(1e-7 * Math.Max(1, expected.abs().max().item<double>())));
        }
        var scored = new LogProbEngine(model).Scores(Batch, new ForwardMode { Deltas = deltas }).SelectMany(score => score.LogProbs).ToArray();
        Assert.That(scored, Is.EqualTo(logProbs.detach().data<double>().ToArray()).Within(1e-9));
    }

    // float32 and bfloat16 have kernels of their own, and so has a processor without AVX2.
    [Test]
    public void In_float32_and_bfloat16_its_gradients_are_those_of_float64([Values(torch.ScalarType.Float32, torch.ScalarType.BFloat16)] torch.ScalarType dtype, [Values(5, 256)] long chunkRows, [Values] bool mean)
    {
        (Tensor LogProbs, List<Tensor> Gradients) Passed(torch.ScalarType model, torch.ScalarType factors)
        {
            List<Tensor> leaves = [.. new[] { Tiny.Normal("a", [3, 24], torch.bfloat16), Tiny.Normal("b", [Tiny.Vocabulary, 3], torch.bfloat16, 0.3) }.Select(values => values.to(factors).requires_grad_())];
            var of = Tiny.Model(torch.bfloat16);
            var engine = new LogProbEngine(new DecoderModel(of.Spec, of.Weights.ToDictionary(w => w.Key, w => w.Value.to(model))), 40, chunkRows);
            using var pass = engine.Pass(Batch, new ForwardMode { Deltas = new Dictionary<string, Delta> { [of.Spec.Names.Head] = new LowRank(leaves[0], leaves[1], 0.75, 0) } }, new PassNeeds { Statistics = mean ? ["mean_log_prob"] : [] });
            var loss = (pass.LogProbs * torch.arange(pass.LogProbs.numel(), pass.LogProbs.dtype, pass.LogProbs.device).sin()).sum();
            (mean ? loss + pass.Statistics["mean_log_prob"].square().sum() : loss).backward();
            pass.Backward();
            return (pass.LogProbs.detach(), [.. leaves.Select(leaf => leaf.grad!)]);
        }
        var (mine, wide) = (Passed(dtype, torch.float32), Passed(torch.float64, torch.float64));
        var tolerance = dtype == torch.float32 ? 1e-5 : 0.05;
        Assert.That(Tiny.Worst(mine.LogProbs, wide.LogProbs), Is.LessThan(tolerance * 10));
        foreach (var (gradient, expected) in mine.Gradients.Zip(wide.Gradients)) Assert.That(Tiny.Worst(gradient, expected), Is.LessThan(tolerance * expected.abs().max().item<double>()));
    }

    // DPO's first loss is ln 2 to the last bit, as TRL's, where the head is among LoRA's targets too.
    [Test]
    public void A_change_of_nothing_gives_the_references_numbers([Values(torch.ScalarType.Float32, torch.ScalarType.BFloat16)] torch.ScalarType dtype, [Values(5, 256)] long chunkRows)
    {
        var model = Tiny.Model(dtype);
        var none = new LowRank(Tiny.Normal("a", [3, 24], torch.float32).requires_grad_(), torch.zeros([Tiny.Vocabulary, 3], torch.float32).requires_grad_(), 1, 0);
        using var pass = new LogProbEngine(model, 40, chunkRows).Pass(Batch, new ForwardMode { Deltas = new Dictionary<string, Delta> { [model.Spec.Names.Head] = none } }, new PassNeeds { Reference = new ReferencePolicy(model, ForwardMode.Plain) });
        Assert.That(pass.Reference!.data<float>().ToArray(), Is.EqualTo(pass.LogProbs.detach().data<float>().ToArray()));
    }

    // A policy and its reference are to be one function: in bfloat16 logits are rounded whether they are in memory, as under a change or
    // where the most probable tokens are asked for, or not.
    [Test]
    public void In_bfloat16_every_way_to_a_log_prob_rounds_alike()
    {
        var model = Tiny.Model(torch.bfloat16);
        var none = new LowRank(Tiny.Normal("a", [3, 24], torch.float32), torch.zeros([Tiny.Vocabulary, 3], torch.float32), 1, 0);
        double[] Scored(ForwardMode mode, int top) => [.. new LogProbEngine(model).Scores(Batch, mode, top).SelectMany(score => score.LogProbs)];
        var bare = Scored(ForwardMode.Plain, 0);
        Assert.That(Scored(ForwardMode.Plain, 1), Is.EqualTo(bare).Within(1e-5), "with the most probable token");
        Assert.That(Scored(new ForwardMode { Deltas = new Dictionary<string, Delta> { [model.Spec.Names.Head] = none } }, 0), Is.EqualTo(bare).Within(1e-5), "under a change of nothing");
        using var pass = new LogProbEngine(model).Pass(Batch, ForwardMode.Plain, new PassNeeds());
        Assert.That(pass.LogProbs.to(torch.float64).data<double>().ToArray(), Is.EqualTo(bare).Within(1e-5), "in a training's pass");
    }

    // Every weight in its place, one graph, full logits.
    private static (Tensor LogProbs, Tensor Mean, Tensor Entropy) Plainly(DecoderModel model, string module, Delta change, bool tied)
    {
        var layer = new Layer(model.Spec.Names.Head, model.Head, model.HeadBias);
        var merged = Deltas.Merged(layer, change);
        var under = new ForwardMode { Deltas = tied ? new Dictionary<string, Delta> { [module] = change } : [] };
        var (picked, means, entropies) = (new List<Tensor>(), new List<Tensor>(), new List<Tensor>());
        foreach (var (prompt, completion) in Batch.SelectMany(g => g.Completions.Select(c => (g.Prompt, c))))
        {
            using var pack = Pack.Of([new CompletionGroup(prompt, [completion])], 1000, Place.Of(model)).Single();
            var logits = model.Forward(pack, under).index_select(0, pack.HeadRows).mm(merged.Weight.t());
            if (merged.Bias is { } bias) logits += bias;
            if (model.Spec.LogitCap is { } cap) logits = logits.div(cap).tanh().mul(cap);
            var all = logits.log_softmax(-1, torch.float64);
            picked.Add(all.gather(1, pack.Targets.unsqueeze(1)).squeeze(1));
            means.Add(all.mean([1]));
            entropies.Add((all.exp() * all).sum(1).neg());
        }
        return (torch.cat(picked), torch.cat(means), torch.cat(entropies).detach());
    }

    // Dropout of the head's input is keyed as everywhere: by record and position, whatever the packs and chunks.
    [Test]
    public void Dropout_does_not_depend_on_packs_and_chunks()
    {
        var model = Tiny.Model(torch.float64);
        var low = (LowRank)Change("lora") with { Dropout = 0.4 };
        ForwardMode Mode(long step) => new() { Deltas = new Dictionary<string, Delta> { [model.Spec.Names.Head] = low }, Dropout = new DropoutKey(1, step) };
        var whole = Tiny.Answers(model, Batch, mode: Mode(1));
        Tiny.AssertNear(Tiny.Answers(model, Batch, packRows: 1, chunkRows: 3, mode: Mode(1)), whole, 1e-9);
        Assert.That(Tiny.Answers(model, Batch, mode: Mode(2))[0][0], Is.Not.EqualTo(whole[0][0]));
    }

    // Not even of modules_to_save, in the model's type.
    [TestCase("lora")]
    [TestCase("whole")]
    public void The_matrix_is_no_copy(string kind)
    {
        var (model, change) = (Tiny.Model(torch.float64), Change(kind));
        var head = model.HeadUnder(new ForwardMode { Deltas = new Dictionary<string, Delta> { [model.Spec.Names.Head] = change } });
        var wanted = change is Whole { Weight: { } trained } ? trained : model.Head;
        using (torch.no_grad()) wanted.fill_(0.125);
        Assert.That(head.Layer.Weight.sum().item<double>(), Is.EqualTo(0.125 * wanted.numel()));
    }
}
