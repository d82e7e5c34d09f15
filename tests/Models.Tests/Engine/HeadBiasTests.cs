// A bias of the output head, in the kernels of float32 and bfloat16 and in all that is computed from logits, against torch's own operators.

using PeftAlign.Abstractions;
using PeftAlign.Models.Classifiers;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Models.Generation;
using PeftAlign.Models.Tests.Checkpoints;
using PeftAlign.Torch;

namespace PeftAlign.Models.Tests.Engine;

public sealed class HeadBiasTests : ScopedTest
{
    private const long Rows = 50, Width = 24, Entries = 1041;

    private static DecoderModel Model(torch.ScalarType dtype) => Tiny.Model(dtype, Families.Spec("phi, norms of heads"));

    // log_softmax of float32 over logits in the model's dtype, as training in it does.
    [Test]
    public void Log_probs_and_gradients_are_torchs([Values(torch.ScalarType.Float32, torch.ScalarType.BFloat16)] torch.ScalarType dtype, [Values] bool matrix, [Values] bool bias, [Values(7, 256)] long chunkRows)
    {
        var targets = torch.tensor(Enumerable.Range(0, (int)Rows).Select(k => (long)(k * 37 % Entries)).ToArray(), device: TestDevice.Here);
        var weight = Tiny.Normal("weight", [Rows], torch.float32);
        (Tensor LogProbs, List<Tensor?> Gradients) Of(torch.ScalarType type, Func<Tensor, Tensor, Tensor, Tensor> compute)
        {
            Tensor Leaf(string name, long[] shape, double std, bool trained) => Tiny.Normal(name, shape, dtype, std).to(type, copy: true).requires_grad_(trained);
            Tensor[] leaves = [Leaf("hidden", [Rows, Width], 1, true), Leaf("head", [Entries, Width], 0.3, matrix), Leaf("bias", [Entries], 1.5, bias)];
            var logProbs = compute(leaves[0], leaves[1], leaves[2]);
            (logProbs * weight.to(logProbs.dtype)).sum().backward();
            return (logProbs.detach(), [.. leaves.Select(leaf => leaf.grad)]);
        }
        var mine = Of(dtype, (h, w, b) => HeadLogProbs.apply(h, w, targets, new HeadAnswers([], chunkRows), false, b)[0]);
        var wide = Of(torch.float64, (h, w, b) => torch.nn.functional.linear(h, w, b).log_softmax(-1).gather(1, targets.unsqueeze(1)).squeeze(1));
        var theirs = Of(dtype, (h, w, b) => torch.nn.functional.linear(h, w, b).log_softmax(-1, torch.float32).gather(1, targets.unsqueeze(1)).squeeze(1));
        void AssertNear(Tensor own, Tensor exact, Tensor peer, string what)
        {
            var largest = exact.abs().max().item<double>();
            var noise = dtype == torch.float32 ? 1e-6 * largest : Math.Max(1.5 * Tiny.Worst(peer, exact), 0.004 * largest);
            Assert.That(Tiny.Worst(own, exact), Is.LessThan(noise), what);
        }
        AssertNear(mine.LogProbs, wide.LogProbs, theirs.LogProbs, "log-probs");
        foreach (var (k, name) in ((string[])["hidden", "matrix", "bias"]).Index())
        {
            Assert.That(mine.Gradients[k] is null, Is.EqualTo(wide.Gradients[k] is null), name);
            if (wide.Gradients[k] is { } exact) AssertNear(mine.Gradients[k]!, exact, theirs.Gradients[k]!, name);
        }
    }

    // The policy's head is changed by nothing, and its reference's not at all: equal to the last bit.
    [Test]
    public void A_change_of_nothing_gives_the_references_numbers([Values(torch.ScalarType.Float32, torch.ScalarType.BFloat16)] torch.ScalarType dtype)
    {
        var model = Model(dtype);
        var none = new LowRank(Tiny.Normal("a", [3, 24], torch.float32).requires_grad_(), torch.zeros([Tiny.Vocabulary, 3], torch.float32).to(TestDevice.Here).requires_grad_(), 1, 0);
        using var pass = new LogProbEngine(model).Pass(Tiny.Groups(6), new ForwardMode { Deltas = new Dictionary<string, Delta> { [model.Spec.Names.Head] = none } }, new PassNeeds { Reference = new ReferencePolicy(model, ForwardMode.Plain) });
        Assert.That(pass.Reference!.data<float>().ToArray(), Is.EqualTo(pass.LogProbs.detach().data<float>().ToArray()));
    }

    [Test]
    public void Statistics_scores_the_most_probable_tokens_and_decoding_see_it()
    {
        var model = Model(torch.float64);
        int[] prompt = [1, 2, 3], answer = [4, 5, 6, 7];
        var group = new CompletionGroup(prompt, [Completion.Of(answer)]);
        var engine = new LogProbEngine(model);
        var logits = engine.Logits([group], ForwardMode.Plain).Single().narrow(0, prompt.Length - 1, answer.Length);
        var all = logits.log_softmax(-1);
        var without = (logits - model.HeadBias!).log_softmax(-1);
        Assert.That(Tiny.Worst(all, without), Is.GreaterThan(0.1), "the bias matters");
        var score = engine.Scores([group], ForwardMode.Plain, top: 3).Single();
        foreach (var (k, top) in score.Top.Index())
        {
            Assert.That(score.LogProbs[k], Is.EqualTo(all[k, answer[k]].item<double>()).Within(1e-9));
            Assert.That(top.Select(t => t.Id), Is.EqualTo(all.select(0, k).topk(3).Item2.data<long>().ToArray().Select(id => (int)id)));
        }
        Assert.That(engine.Scores([group], ForwardMode.Plain).Single().LogProbs, Is.EqualTo(score.LogProbs).Within(1e-9));
        using var pass = engine.Pass([group], ForwardMode.Plain, new PassNeeds { Statistics = ["mean_logit", "mean_log_prob"] });
        Assert.That(Tiny.Worst(pass.Statistics["mean_logit"], logits.mean([1])), Is.LessThan(1e-9));
        Assert.That(Tiny.Worst(pass.Statistics["mean_log_prob"].detach(), all.mean([1])), Is.LessThan(1e-9));
        using var session = new CachedSession(model, ForwardMode.Plain);
        Assert.That(Tiny.Worst(session.Begin([[.. prompt, .. answer[..^1]]]).select(0, 0), logits.select(0, answer.Length - 1)), Is.LessThan(1e-5));
        var trained = new Whole(null, model.HeadBias! + torch.arange(Tiny.Vocabulary, torch.float64, TestDevice.Here));
        using var changed = new CachedSession(model, new ForwardMode { Deltas = new Dictionary<string, Delta> { [model.Spec.Names.Head] = trained } });
        Assert.That(Tiny.Worst(changed.Begin([[.. prompt, .. answer[..^1]]]).select(0, 0), logits.select(0, answer.Length - 1) + torch.arange(Tiny.Vocabulary, torch.float64, TestDevice.Here)), Is.LessThan(1e-5));
    }

    [Test]
    public void A_score_head_has_none()
    {
        var spec = ClassifierFolder.WithScores(Model(torch.float32).Spec);
        Assert.That(spec.Weights().Select(w => w.Name).Where(name => name.StartsWith("score", StringComparison.Ordinal) || name.StartsWith("lm_head", StringComparison.Ordinal)), Is.EqualTo((string[])["score.weight"]));
        var model = RewardFolder.Load(GoldenFolder.Of("phi"), 3);
        Assert.That(model.Weights.Keys, Is.EquivalentTo(model.Spec.Weights().Select(w => w.Name)));
    }

    [Test]
    public void New_tokens_have_the_mean()
    {
        var model = Model(torch.float32);
        var bias = model.HeadBias!.clone();
        var grown = new NewTokens([("<a>", Tiny.Vocabulary), ("<b>", Tiny.Vocabulary + 1)], Tiny.Vocabulary + 2).Grown(model, 5);
        Assert.That(Tiny.Worst(grown.HeadBias!.narrow(0, 0, Tiny.Vocabulary), bias), Is.Zero);
        foreach (var id in (int[])[0, 1]) Assert.That(grown.HeadBias![Tiny.Vocabulary + id].item<float>(), Is.EqualTo(bias.mean().item<float>()).Within(1e-6));
    }

    [TestCase("phi")]
    [TestCase("gptj")]
    public void A_tied_one_is_refused_by_name(string family)
    {
        var folder = Shared.Scratch();
        Shared.Copy(GoldenFolder.Of(family), folder);
        var file = Path.Combine(folder, "config.json");
        var config = System.Text.Json.Nodes.JsonNode.Parse(File.ReadAllText(file))!;
        config["tie_word_embeddings"] = true;
        File.WriteAllText(file, config.ToJsonString());
        Assert.That(() => ModelFolder.Load(folder), Throws.TypeOf<UserErrorException>().With.Message.Contains("tie_word_embeddings is true; it must be false or absent"));
    }
}
