// What the golden tables of the losses leave open: gradients of estimates, lengths of rows without a prompt, whose tokens a metric counts,
// what options are where nobody gives them. Against the definitions, worked out in float64, and TRL 1.16's defaults.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Methods.Cpo;
using PeftAlign.Methods.Dpo;
using PeftAlign.Methods.Kto;
using PeftAlign.Methods.Meet;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Torch;

namespace PeftAlign.Training.Tests;

public sealed class LossBorderTests : TrainingTest
{
    private static readonly float[] Policy = [-1.5f, -0.5f, -2f, -0.25f];

    // Two pairs of one token each: r = -0.5, 0.25, -0.75, 1.5.
    private static readonly float[] Reference = [-1f, -0.75f, -1.25f, -1.75f];

    [Test]
    public void The_shift_of_bco_is_an_estimate_and_gets_no_gradient()
    {
        const double beta = 0.7;
        var (batch, leaf) = Pairs([1, 1, 1, 1]);
        Fixtures.Dpo(new DpoOptions { LossType = ["bco_pair_shift"], Beta = beta }).Loss(batch).Numerator.backward();
        var ratios = Policy.Zip(Reference, (p, r) => (double)p - r).ToArray();
        var shift = beta * ratios.Average();
        // -log sigmoid(beta r_w - shift) - log sigmoid(shift - beta r_l), the mean over two pairs.
        var expected = ratios.Select((r, k) => k % 2 == 0 ? -beta * Sigmoid(shift - (beta * r)) / 2 : beta * Sigmoid((beta * r) - shift) / 2);
        Assert.That(leaf.grad!.data<float>().ToArray().Select(g => (double)g), Is.EqualTo(expected).Within(1e-7));
    }

    // A first token without anything before it has no log-prob, but TRL's ipo and sigmoid_norm divide by a length that counts it.
    [Test]
    public void Rows_without_a_prompt_are_as_long_as_they_are_recorded()
    {
        const double beta = 0.4;
        var rows = PrepareContext();
        var record = new DataRecord(JsonNode.Parse("""{"prompt_ids": [], "chosen_ids": [5, 6, 7], "rejected_ids": [5, 8]}""")!.AsObject(), "rows", 1);
        foreach (var (loss, value) in ((string, Func<double, double>)[])[("ipo", d => Math.Pow(d - (0.5 / beta), 2)), ("sigmoid_norm", d => -Math.Log(Sigmoid(beta * d)))])
        {
            var method = Fixtures.Dpo(new DpoOptions { LossType = [loss], Beta = beta });
            var groups = method.Prepare([record], rows);
            Assert.That(groups.Select(g => g.Completions.Single().Tokens), Is.EqualTo((int[][])[[6, 7], [8]]));
            var batch = Batch(groups, [-1f, -3f, -2f], [-2f, -0.5f, -1f]).Batch;
            Assert.That(method.Loss(batch).Numerator.item<double>(), Is.EqualTo(value((-1.5 / 3) - (-1.0 / 2))).Within(1e-9), loss);
        }
    }

    [Test]
    public void Token_accuracy_is_that_of_the_chosen_answers()
    {
        var (batch, _) = Pairs([1, 0, 1, 0]);
        Assert.That(Fixtures.Dpo(new DpoOptions()).Loss(batch).Metrics["mean_token_accuracy"], Is.EqualTo(1));
        (batch, _) = Pairs([0, 1, 1, 1]);
        Assert.That(Fixtures.Dpo(new DpoOptions()).Loss(batch).Metrics["mean_token_accuracy"], Is.EqualTo(0.5));
    }

    [Test]
    public void What_nobody_gives_is_TRLs()
    {
        var batch = Pairs([1, 1, 1, 1]).Batch;
        double Loss(IAlignmentMethod method) => method.Loss(batch).Numerator.item<double>();
        double Dpo(DpoOptions options) => Loss(Fixtures.Dpo(options));
        double Cpo(CpoOptions options) => Loss(Fixtures.Method<CpoPlugin, CpoOptions>("cpo", options));
        Assert.Multiple(() =>
        {
            Assert.That(Dpo(new DpoOptions { LossType = ["discopop"] }), Is.EqualTo(Dpo(new DpoOptions { LossType = ["discopop"], DiscopopTau = 0.05, Beta = 0.1 })));
            Assert.That(Dpo(new DpoOptions { FDivergenceType = "alpha_divergence" }), Is.EqualTo(Dpo(new DpoOptions { FDivergenceType = "alpha_divergence", FAlphaDivergenceCoef = 0.5 })));
            Assert.That(Cpo(new CpoOptions { LossType = "simpo" }), Is.EqualTo(Cpo(new CpoOptions { LossType = "simpo", SimpoGamma = 0.5, Beta = 0.1 })));
        });
    }

    // Without a prompt an answer's first token stands where the prompt would: another row's answer of one token leaves nothing to measure.
    [TestCase("9", 1)]
    [TestCase("9, 10", 2)]
    public void An_answer_of_one_token_is_not_measured_without_a_prompt(string other, int measured)
    {
        string[] rows = ["""{"prompt_ids": [], "completion_ids": [5, 6, 7], "label": true}""", $$"""{"prompt_ids": [1], "completion_ids": [{{other}}], "label": false}"""];
        var method = Fixtures.Method<KtoPlugin, KtoOptions>("kto", new KtoOptions());
        var context = PrepareContext() with { BatchSize = 2 };
        var records = rows.Select((row, k) => new DataRecord(JsonNode.Parse(row)!.AsObject(), "rows", k + 1)).ToList();
        var completions = method.Prepare(((IArrangesRecords)method).Arrange(records, context), context).SelectMany(g => g.Completions).ToList();
        Assert.That(completions.Select(c => c.Tokens.Length), Has.All.GreaterThan(0));
        Assert.That(completions.Count(c => !c.Gradient), Is.EqualTo(measured));
    }

    // TRL's num_tokens: prompts and answers that are trained, not what z0 is measured on.
    [Test]
    public void Tokens_that_are_only_measured_are_not_counted()
    {
        var rows = Fixtures.Records(Fixtures.Path("trajectories", "data", "unpaired.json")).Take(4).ToList();
        var run = Fixtures.SmallRun(Folder, new TrainingOptions { MaxSteps = 1, BatchSize = 4, LearningRate = 0, Shuffle = false });
        Trainer.Train(run with { Records = rows, Method = Fixtures.Method<KtoPlugin, KtoOptions>("kto", new KtoOptions()), Reference = new ReferencePolicy(run.Model, ForwardMode.Plain) });
        var tokens = (long)JsonNode.Parse(File.ReadLines(Path.Combine(Folder, "metrics.jsonl")).Single())!["num_tokens"]!;
        Assert.That(tokens, Is.EqualTo(rows.Sum(r => (long)r.Ids("prompt_ids").Length + r.Ids("completion_ids").Length)));
    }

    [Test]
    public void Controlled_preference_has_its_beta_and_a_tie_is_no_success()
    {
        var method = Fixtures.Method<MeetPlugin, MeetOptions>("meet", new MeetOptions { Stages = "joint", JointLoss = "dpo" });
        var joint = ((ITrainsControls)method).Phases.Single().Method;
        var groups = Enumerable.Range(0, 2).Select(_ => new CompletionGroup([1], [Completion.Of([2]), Completion.Of([3])]) { Control = "good" }).ToList();
        var loss = joint.Loss(Batch(groups, [-1f, -1f, -0.5f, -2f], [-1f, -1f, -1f, -1f]).Batch);
        Assert.That(loss.Numerator.item<double>(), Is.EqualTo((Math.Log(2) - Math.Log(Sigmoid(0.1 * 1.5))) / 2).Within(1e-9));
        Assert.That(loss.Metrics["rewards/accuracies"], Is.EqualTo(0.5));
    }

    private static PrepareContext PrepareContext() => new(null, 64, new MaskLedger());

    private static double Sigmoid(double z) => 1 / (1 + Math.Exp(-z));

    private static (ScoredBatch Batch, Tensor Leaf) Pairs(float[] hits)
    {
        var groups = Enumerable.Range(0, 2).Select(_ => new CompletionGroup([1], [Completion.Of([2]), Completion.Of([3])])).ToList();
        var (batch, leaf) = Batch(groups, Policy, Reference);
        return (batch with { Statistics = new Dictionary<string, Tensor>(batch.Statistics) { ["argmax_hit"] = torch.tensor(hits) } }, leaf);
    }

    private static (ScoredBatch Batch, Tensor Leaf) Batch(IReadOnlyList<CompletionGroup> groups, float[] policy, float[] reference)
    {
        var leaf = torch.tensor(policy).requires_grad_();
        var zeros = torch.zeros([policy.Length]);
        var statistics = new Dictionary<string, Tensor> { ["entropy"] = zeros, ["mean_logit"] = zeros, ["argmax_hit"] = zeros };
        return (new ScoredBatch(groups, leaf, torch.ones([policy.Length])) { ReferenceLogProbs = torch.tensor(reference), Statistics = statistics }, leaf);
    }
}
