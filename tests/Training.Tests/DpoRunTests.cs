// DPO through the trainer: what must not change a result (packs, head chunks, memory splits, the prompt's sharing), where a run
// starts, references, adapters over frozen adapters, and their exact concatenation.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Methods.Dpo;
using PeftAlign.Models;
using PeftAlign.Models.Adapters;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Training.Tests;

public sealed class DpoRunTests : TrainingTest
{
    private static readonly TrainingOptions Options = new() { LearningRate = 5e-3, BatchSize = 6, GradientAccumulationSteps = 2, MaxSteps = 5, MaxGradNorm = 1, SaveEvery = 0, Seed = 4 };

    private static JsonObject Config => Fixtures.Json(Fixtures.Path("trajectories", "dpo-lora", "adapter_init", "adapter_config.json"));

    private static IReadOnlyList<DataRecord> Pairs => Fixtures.Records(Fixtures.Path("trajectories", "data", "pairs.json"));

    private TrainingRun Run(string name, TrainingOptions? options = null, DpoOptions? dpo = null)
    {
        var model = ModelFolder.Load(Fixtures.Path("trajectories", "base-model"), device: TestDevice.Here);
        return new TrainingRun
        {
            Model = model,
            Records = Pairs,
            Method = Fixtures.Dpo(dpo ?? new DpoOptions()),
            Adapter = Fixtures.Lora(Config, dropout: 0.2).Attach(model.Outline("base-model"), 5),
            Options = options ?? Options,
            Folder = Directory.CreateDirectory(Path.Combine(Folder, name)).FullName,
        };
    }

    private static List<JsonNode> Rows(TrainingRun run) => [.. File.ReadLines(Path.Combine(run.Folder, "metrics.jsonl")).Select(line => JsonNode.Parse(line)!)];

    private static Dictionary<string, Tensor> Trained(TrainingRun run) => run.Adapter!.SelectMany(s => s.Delta.Parameters.Select(p => ($"{s.Module}.{p.Key}", p.Value))).ToDictionary(p => p.Item1, p => p.Value);

    private static void AssertSame(TrainingRun actual, TrainingRun expected, double tolerance)
    {
        foreach (var (name, tensor) in Trained(expected))
            Assert.That((Trained(actual)[name] - tensor).abs().max().item<float>(), Is.LessThanOrEqualTo(tolerance), name);
        foreach (var (a, e) in Rows(actual).Zip(Rows(expected)))
            Assert.That((double)a["loss"]!, Is.EqualTo((double)e["loss"]!).Within(1e-5));
    }

    // The same operators run on the same numbers, the dropout of 0.2 included.
    [Test]
    public void Gradient_checkpointing_changes_memory_alone()
    {
        var options = Options with { BatchSize = 48 };
        var (kept, again) = (Run("kept", options, new DpoOptions { DisableDropout = false }), Run("again", options with { GradientCheckpointing = true }, new DpoOptions { DisableDropout = false }));
        Trainer.Train(kept);
        Trainer.Train(again);
        AssertSame(again, kept, 0);
        Assert.That(File.ReadAllText(Path.Combine(again.Folder, "metrics.jsonl")), Is.EqualTo(File.ReadAllText(Path.Combine(kept.Folder, "metrics.jsonl"))));
    }

    [TestCase("sigmoid", 0.69314718055994531)]
    [TestCase("ipo", 25)]
    [TestCase("hinge", 1)]
    public void A_run_starts_at_its_reference(string loss, double value)
    {
        var run = Run("start", Options with { MaxSteps = 1 }, new DpoOptions { LossType = [loss] });
        Trainer.Train(run);
        var first = Rows(run)[0];
        Assert.That((double)first["loss"]!, Is.EqualTo(value).Within(1e-12));
        foreach (var metric in (string[])["rewards/chosen", "rewards/rejected", "rewards/margins", "rewards/accuracies"]) Assert.That((double)first[metric]!, Is.Zero, metric);
    }

    // A reference that changes between looking and training, as stored log-probs of other weights would.
    [Test]
    public void A_start_away_from_the_reference_stops_the_run()
    {
        var run = Run("apart");
        foreach (var low in run.Adapter!.Select(s => (LowRank)s.Delta)) low.B.normal_(0, 0.5);
        using var policy = new TrainedPolicy(run);
        using (torch.no_grad())
            foreach (var low in run.Adapter!.Select(s => (LowRank)s.Delta)) low.B.normal_(0, 0.5);
        var engine = new LogProbEngine(run.Model);
        var groups = run.Method.Prepare([.. Pairs.Take(3)], new PrepareContext(null, 1024, new MaskLedger()));
        using var pass = engine.Pass(groups, policy.Mode, new PassNeeds { Reference = policy.Reference });
        Assert.That(() => StartInvariant.Check(engine, policy, groups, pass, torch.float32, dropout: false), Throws.InstanceOf<UserErrorException>().With.Message.Contains("log-probs differ by"));
    }

    [Test]
    public void A_reference_of_its_own_moves_the_margins()
    {
        var run = Run("reference", Options with { MaxSteps = 1 });
        var other = Fixtures.Lora(Config).Attach(run.Model.Outline("base-model"), 9);
        using (torch.no_grad())
            foreach (var low in other.Select(s => (LowRank)s.Delta)) low.B.normal_(0, 0.3, new torch.Generator(3));
        run = run with { Reference = new ReferencePolicy(run.Model, new ForwardMode { Deltas = AdapterLayers.Deltas([other]) }) };
        Trainer.Train(run);
        Assert.That((double)Rows(run)[0]["rewards/chosen"]!, Is.Not.Zero);
    }

    // The lower adapter is part of policy and reference, is not trained, and together they are one PEFT folder.
    [Test]
    public void An_adapter_over_a_frozen_one_starts_there_and_both_are_one_afterwards()
    {
        var run = Run("over");
        var outline = run.Model.Outline("base-model");
        var files = Fixtures.Adapter(Fixtures.Path("trajectories", "sft-lora", "adapter_final"));
        var lower = Fixtures.Lora(files.Config).Load(outline, files);
        var before = lower.SelectMany(s => s.Delta.Parameters.Values).Select(t => t.clone()).ToList();
        run = run with { Beneath = [lower] };
        Trainer.Train(run);
        // Policy and reference ask the lower A's beside the upper ones and alone. Our products give an element the same bits beside any columns;
        // a BLAS does not (OpenBLAS has other kernels for the last columns), and a margin then is what such roundings leave of 0.
        var exact = Products.Kernels != "libtorch" && TestDevice.IsProcessor;
        Assert.That((double)Rows(run)[0]["rewards/margins"]!, Is.EqualTo(0).Within(exact ? 0 : 1e-6));
        Assert.That((double)Rows(run)[^1]["rewards/margins"]!, Is.Not.Zero);
        foreach (var (now, then) in lower.SelectMany(s => s.Delta.Parameters.Values).Zip(before)) Assert.That(now.equal(then), "the lower adapter stays as it is");

        var joined = AdapterLayers.Concatenated(outline, files.Config, [lower, run.Adapter!])!;
        var one = Fixtures.Lora(Config).Load(outline, joined);
        var groups = run.Method.Prepare([.. Pairs.Take(8)], new PrepareContext(null, 1024, new MaskLedger()));
        var engine = new LogProbEngine(run.Model);
        using var off = torch.no_grad();
        Tensor Scored(params IReadOnlyList<AdapterSite>[] layers) => engine.LogProbs(groups, new ForwardMode { Deltas = AdapterLayers.Deltas(layers) });
        Assert.That((Scored(one) - Scored(lower, run.Adapter!)).abs().max().item<float>(), Is.LessThan(1e-5));
        Assert.That((Scored(lower) - Scored(lower, run.Adapter!)).abs().max().item<float>(), Is.GreaterThan(1e-3), "training moved the policy");
    }

    [Test]
    public void Killed_and_resumed_ends_with_equal_numbers()
    {
        var whole = Run("whole", Options with { SaveEvery = 2 });
        Trainer.Train(whole with { Progress = p => { if (p.Step == 3) Copy(whole.Folder, Path.Combine(Folder, "killed")); } });
        var resumed = Run("killed", Options with { SaveEvery = 2 });
        Assert.That(Trainer.Train(resumed).ResumedFrom, Is.EqualTo(2));
        foreach (var (name, tensor) in Trained(whole)) Assert.That(Trained(resumed)[name].equal(tensor), name);
        Assert.That(File.ReadAllText(Path.Combine(resumed.Folder, "metrics.jsonl")), Is.EqualTo(File.ReadAllText(Path.Combine(whole.Folder, "metrics.jsonl"))));
    }
}
