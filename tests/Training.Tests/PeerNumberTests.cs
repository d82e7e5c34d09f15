// Optimisers, schedules, losses and evaluation against numbers that torch 2.13.0 and transformers 5.23.0 gave for the same input.

using System.Text.Json.Nodes;
using PeftAlign.Core;
using PeftAlign.Methods.Sft;
using PeftAlign.Torch;

namespace PeftAlign.Training.Tests;

public sealed class PeerNumberTests : TrainingTest
{
    // Five steps from (1, -2, 3, 0.5), entry i of gradient k being sin(k + i), learning rate 0.1, weight decay 0.1.
    [TestCase("sgd", 0.8419314026832581, -1.914055585861206, 2.9489798545837402, 0.59131920337677)]
    [TestCase("rmsprop", -1.03890061378479, -2.011594295501709, 2.6404428482055664, 0.8009991645812988)]
    public void Optimisers_make_torchs_updates(string name, double a, double b, double c, double d)
    {
        using var parameters = new FlatParameters([("p", torch.tensor(new[] { 1f, -2f, 3f, 0.5f }), true)]);
        using var optimizer = FlatOptimizer.Of(parameters, new TrainingOptions { Optimizer = name, WeightDecay = 0.1 });
        for (var k = 0; k < 5; k++)
        {
            parameters.Gradients.copy_(torch.tensor(Enumerable.Range(0, 4).Select(i => (float)Math.Sin(k + i)).ToArray()));
            optimizer.Step(0.1);
        }
        Assert.That(parameters.Values.data<float>().ToArray().Select(v => (double)v), Is.EqualTo((double[])[a, b, c, d]).Within(5e-7));
    }

    // Twelve updates, three of them warm-up.
    [TestCase("inverse_sqrt", 0.0, 0.3333333333333333, 0.6666666666666666, 1.0, 0.8660254037844387, 0.7745966692414834, 0.7071067811865475, 0.6546536707079771, 0.6123724356957945, 0.5773502691896258, 0.5477225575051661, 0.5222329678670935)]
    [TestCase("cosine", 0.0, 0.3333333333333333, 0.6666666666666666, 1.0, 0.9698463103929542, 0.883022221559489, 0.75, 0.5868240888334653, 0.41317591116653485, 0.2500000000000001, 0.11697777844051105, 0.03015368960704584)]
    [TestCase("linear", 0.0, 0.3333333333333333, 0.6666666666666666, 1.0, 0.8888888888888888, 0.7777777777777778, 0.6666666666666666, 0.5555555555555556, 0.4444444444444444, 0.3333333333333333, 0.2222222222222222, 0.1111111111111111)]
    [TestCase("constant_with_warmup", 0.0, 0.3333333333333333, 0.6666666666666666, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)]
    public void Schedules_are_transformers(string name, params double[] expected) =>
        Assert.That(Enumerable.Range(0, expected.Length).Select(k => Schedules.Factor(name, k, 3, expected.Length)), Is.EqualTo(expected).Within(1e-12));

    [Test]
    public void Inverse_sqrt_without_warm_up_is_transformers() =>
        Assert.That(Enumerable.Range(0, 4).Select(k => Schedules.Factor("inverse_sqrt", k, 0, 12)), Is.EqualTo((double[])[1.0, 0.9999500037496877, 0.9999000149975006, 0.9998500337415648]).Within(1e-12));

    // The first four rows of the golden base model: torch's log-softmax, transformers' LabelSmoother.
    [TestCase("nll", 0.0, 5.7187886238098145)]
    [TestCase("nll", 0.1, 5.758749485015869)]
    [TestCase("dft", 0.0, 0.022391382604837418)]
    public void Losses_of_a_batch_are_the_peers(string loss, double smoothing, double expected)
    {
        var options = new TrainingOptions { MaxSteps = 1, BatchSize = 4, LearningRate = 0, Shuffle = false };
        Trainer.Train(Fixtures.SmallRun(Folder, options, adapter: false) with { Method = Fixtures.Sft(new SftOptions { LossType = loss, LabelSmoothingFactor = smoothing }) });
        Assert.That((double)LastRow()["loss"]!, Is.EqualTo(expected).Within(2e-6));
    }

    // Smoothing's gradient goes through the mean over the vocabulary too: a finite difference along the gradient itself.
    [Test]
    public void Smoothing_trains_what_it_measures()
    {
        double LossAfter(double learningRate, string folder)
        {
            var options = new TrainingOptions { MaxSteps = 2, BatchSize = 48, LearningRate = learningRate, LrScheduler = "constant", Optimizer = "sgd", MaxGradNorm = 0, Shuffle = false };
            var run = Fixtures.SmallRun(Path.Combine(Folder, folder), options, adapter: false) with { Method = Fixtures.Sft(new SftOptions { LabelSmoothingFactor = 0.5 }) };
            Trainer.Train(run);
            var rows = File.ReadLines(Path.Combine(Folder, folder, "metrics.jsonl")).Select(l => JsonNode.Parse(l)!).ToList();
            norm = (double)rows[0]["grad_norm"]!;
            return (double)rows[1]["loss"]! - (double)rows[0]["loss"]!;
        }
        const double step = 1e-2;
        Assert.That(LossAfter(step, "a") / (-step * norm * norm), Is.EqualTo(1).Within(0.02), "the loss falls by |gradient|^2 times the step");
    }

    private double norm;

    // TRL's evaluation of ten held-out rows, before and after the run: batches of 4, 4 and 2, whatever a training batch is.
    [TestCase(4, 2, null)]
    [TestCase(8, 1, 4)]
    public void Eval_loss_is_TRLs(int batch, int accumulated, int? apart)
    {
        var data = Fixtures.Golden("trajectories", "data", "prompt-completion.json");
        var golden = Fixtures.Json(Path.Combine(Fixtures.Golden("trajectories"), "sft-lora", "run.json"))["evaluations"]!.AsArray();
        var after = golden.Single(e => (string)e!["at"]! == "after")!;
        var start = Fixtures.Adapter(Fixtures.Path("trajectories", "sft-lora", "adapter_init"));
        var adapter = Fixtures.Lora(start.Config);
        var options = new TrainingOptions { MaxSteps = 20, BatchSize = batch, GradientAccumulationSteps = accumulated, EvalBatchSize = apart, LearningRate = 0.01, WarmupSteps = 4, WeightDecay = 0.1, MaxGradNorm = 0.5, Shuffle = false, EvalEvery = 10 };
        var run = Fixtures.SmallRun(Folder, options);
        Trainer.Train(run with
        {
            Adapter = adapter.Load(run.Model.Outline("base-model"), start),
            EvalRecords = Fixtures.Json(data)["eval_rows"]!.AsArray().Select((row, k) => new Abstractions.DataRecord(row!.DeepClone().AsObject(), data, k + 1)).ToList(),
        });
        foreach (var metric in (string[])["eval_loss", "eval_entropy", "eval_mean_token_accuracy"])
            Assert.That((double)LastRow()[metric]!, Is.EqualTo((double)after[metric]!).Within(1e-4 * Math.Max(Math.Abs((double)after[metric]!), 0.1)), metric);
        Assert.That(File.ReadLines(Path.Combine(Folder, "metrics.jsonl")).Count(l => l.Contains("eval_loss")), Is.EqualTo(2), "after 10 and 20 updates");
    }

    // The mean over batches of token means: which rows are a batch decides, and packing decides what a row is.
    [Test]
    public void Rows_of_eval_data_are_packed_as_they_are_asked_to_be()
    {
        double Loss(string? packing, bool? apart)
        {
            var run = Fixtures.SmallRun(Path.Combine(Folder, $"{packing}{apart}"), new TrainingOptions { MaxSteps = 1, BatchSize = 2, LearningRate = 0, MaxLength = 64, Packing = packing, EvalPacking = apart });
            Trainer.Train(run with { EvalRecords = [.. run.Records.Take(11)] });
            return (double)JsonNode.Parse(File.ReadLines(Path.Combine(run.Folder, "metrics.jsonl")).Last())!["eval_loss"]!;
        }
        var (loose, packed) = (Loss(null, null), Loss("bfd", null));
        Assert.That(packed, Is.Not.EqualTo(loose).Within(1e-4));
        Assert.That((Loss(null, false), Loss("bfd", false)), Is.EqualTo((loose, loose)));
        Assert.That((Loss(null, true), Loss("bfd", true)), Is.EqualTo((packed, packed)));
    }

    private JsonNode LastRow() => JsonNode.Parse(File.ReadLines(Path.Combine(Folder, "metrics.jsonl")).Last())!;
}
