// MEET's phases: which parts learn when, what a phase begins with, and a run that was killed at any update, also at the border of two
// phases, ends with the same bytes.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Methods.Meet;
using PeftAlign.Models;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Peft.Lora;
using PeftAlign.Peft.Prompt;
using PeftAlign.Torch;

namespace PeftAlign.Training.Tests;

public sealed class MeetTests : TrainingTest
{
    private static readonly TrainingOptions Options = new() { LearningRate = 1e-2, LrScheduler = "cosine", WarmupRatio = 0.2, BatchSize = 4, MaxSteps = 6, SaveEvery = 1, KeepCheckpoints = 10, WeightDecay = 0.01, Seed = 4 };

    private static ITrainsControls Meet(MeetOptions options) => (ITrainsControls)Fixtures.Method<MeetPlugin, MeetOptions>("meet", options);

    private static IReadOnlyList<AdapterSite> Attach(DecoderModel model, string adapter, ulong seed) => (adapter == "prompt"
        ? Fixtures.Adapter<PromptPlugin, PromptOptions>("prompt", new() { NumVirtualTokens = 3, Init = "sample_vocab" })
        : Fixtures.Adapter<LoraPlugin, LoraOptions>("lora", new() { Rank = 4, Alpha = 4, Dropout = 0.1 })).Attach(model.Outline("base-model"), seed);

    private TrainingRun Run(string name, MeetOptions options, string adapter = "prompt", string rows = "pairs")
    {
        torch.set_num_threads(1);
        var (model, method) = (ModelFolder.Load(Fixtures.Path("trajectories", "base-model"), device: TestDevice.Here), Meet(options));
        return new TrainingRun
        {
            Model = model,
            Records = [.. Fixtures.Records(Fixtures.Path("trajectories", "data", rows + ".json")).Take(8)],
            Method = (IAlignmentMethod)method,
            Controls = method.Controls.Index().ToDictionary(c => c.Item, c => Attach(model, adapter, (ulong)c.Index + 7)),
            Options = Options,
            Folder = Directory.CreateDirectory(Path.Combine(Folder, name)).FullName,
        };
    }

    private static List<JsonNode> Log(TrainingRun run) => [.. File.ReadLines(Path.Combine(run.Folder, "metrics.jsonl")).Select(line => JsonNode.Parse(line)!)];

    private static Dictionary<string, Tensor> All(TrainingRun run) => run.Model.Weights.Select(w => (w.Key, w.Value))
        .Concat(run.Controls!.SelectMany(c => c.Value.SelectMany(s => s.Delta.Parameters.Select(p => ($"{c.Key}/{s.Module}.{p.Key}", p.Value)))))
        .ToDictionary(t => t.Item1, t => t.Item2.detach().clone());

    private static string[] Changed(Dictionary<string, Tensor> before, Dictionary<string, Tensor> after) =>
        [.. after.Where(t => before.TryGetValue(t.Key, out var was) && !t.Value.equal(was)).Select(t => t.Key.Split('/') is [var control, _] ? control : "model").Distinct().Order()];

    [TestCase("both", 0.1, "prompt", new[] { "bad", "good", "model" })]
    [TestCase("both", 0.0, "prompt", new[] { "bad", "good", "model" })]
    [TestCase("both", 0.1, "lora", new[] { "bad", "good", "model" })]
    [TestCase("controls", 0.1, "prompt", new[] { "bad", "good" })]
    [TestCase("joint", 0.1, "lora", new[] { "bad", "good", "model" })]
    [TestCase("joint", 0.0, "prompt", new[] { "model" })]
    public void Each_phase_trains_its_parts_and_nothing_else(string stages, double factor, string adapter, string[] parts)
    {
        var run = Run("run", new MeetOptions { Stages = stages, JointControlFactor = factor, ModelLearningRate = 1e-3 }, adapter);
        var before = All(run);
        var middle = new Dictionary<string, Tensor>();
        var points = new KeptPoints(["step:3"], "", _ => false, (_, at) => middle = at.Controls!.SelectMany(c => c.Value.SelectMany(s => s.Delta.Parameters.Select(p => ($"{c.Key}/{s.Module}.{p.Key}", p.Value.clone().DetachFromDisposeScope())))).Concat(at.Model ? run.Model.Weights.Select(w => (w.Key, w.Value.detach().clone().DetachFromDisposeScope())) : []).ToDictionary(t => t.Item1, t => t.Item2));
        Assert.That(Trainer.Train(run with { Points = points }).Steps, Is.EqualTo(6));
        Assert.That(Changed(before, All(run)), Is.EqualTo(parts));
        var (first, last) = (stages == "both" ? 3 : 0, Log(run));
        if (stages == "both")
        {
            Assert.That(Changed(before, middle), Is.EqualTo(new[] { "bad", "good" }), "the first phase leaves the model alone");
            Assert.That(Changed(middle, All(run)).Contains("good"), Is.EqualTo(factor > 0), "controls that are kept stay as the first phase left them");
            Assert.That(last.Select(row => (int)row["phase"]!), Is.EqualTo(new[] { 1, 1, 1, 2, 2, 2 }));
            Assert.That(((double)last[3]["learning_rate"]!, (double)last[4]["learning_rate"]!), Is.EqualTo((0.0, 1e-3)), "each phase has a schedule of its own: here one update of warm-up, then the top");
        }
        foreach (var name in (string[])["nll/good", "nll/bad", "logps/good", "logps/bad"]) Assert.That(last[^1][name], Is.Not.Null, name);
    }

    private static IEnumerable<object[]> Kills() => from kind in (string[])["nll", "dpo", "kept"] from step in Enumerable.Range(1, 5) select new object[] { kind, step };

    [TestCaseSource(nameof(Kills))]
    public void A_run_that_was_killed_at_any_update_ends_with_the_same_bytes(string kind, int step)
    {
        var options = new MeetOptions { ModelLearningRate = 1e-3, JointLoss = kind == "dpo" ? "dpo" : "nll", JointControlFactor = kind == "kept" ? 0 : 0.5 };
        var whole = Run("whole", options, kind == "nll" ? "lora" : "prompt");
        Trainer.Train(whole with { Progress = p => { if (p.Step == step) Copy(whole.Folder, Path.Combine(Folder, "killed")); } });
        var again = Run("killed", options, kind == "nll" ? "lora" : "prompt");
        Assert.That(Trainer.Train(again).ResumedFrom, Is.EqualTo(step));
        Assert.That(File.ReadAllText(Path.Combine(again.Folder, "metrics.jsonl")), Is.EqualTo(File.ReadAllText(Path.Combine(whole.Folder, "metrics.jsonl"))));
        Assert.That(Changed(All(whole), All(again)), Is.Empty);
    }

    // Of LoRA controls, which begin as nothing, the first loss is the base's own; DPO's first is log 2.
    [Test]
    public void A_phase_begins_where_it_should()
    {
        var run = Run("nll", new MeetOptions { Stages = "controls", LossType = "mean" }, "lora");
        var engine = new LogProbEngine(run.Model);
        var groups = run.Method.Prepare(run.Records, new PrepareContext(null, 1024, new MaskLedger())).Select(g => g with { Control = null }).ToList();
        Assert.That(groups, Has.Count.EqualTo(16), "a good and a bad one of each pair");
        var nll = engine.LogProbs(groups, ForwardMode.Plain).detach().data<float>().ToArray();
        var (means, first) = (new List<double>(), 0);
        foreach (var length in groups.Select(g => g.Completions.Single().Tokens.Length))
        {
            means.Add(-nll.Skip(first).Take(length).Average(v => (double)v));
            first += length;
        }
        Trainer.Train(run with { Options = Options with { BatchSize = 8, MaxSteps = 1 } });
        Assert.That((double)Log(run)[0]["loss"]!, Is.EqualTo(means.Average()).Within(1e-5));

        var dpo = Run("dpo", new MeetOptions { JointLoss = "dpo", ModelLearningRate = 1e-3 });
        Trainer.Train(dpo);
        Assert.That((double)Log(dpo)[3]["loss"]!, Is.EqualTo(Math.Log(2)).Within(1e-5));
        Assert.That((double)Log(dpo)[5]["rewards/margins"]!, Is.GreaterThan(0));
    }

    [Test]
    public void Single_answers_go_to_the_control_of_their_label_and_without_bad_the_others_are_left_out()
    {
        var context = new PrepareContext(null, 64, new MaskLedger());
        DataRecord Row(string json) => new(JsonNode.Parse(json)!.AsObject(), "rows", 1);
        var (yes, no) = (Row("""{"prompt_ids": [1, 2], "completion_ids": [3], "label": true}"""), Row("""{"prompt_ids": [1, 2], "completion_ids": [4], "label": false}"""));
        var pair = Row("""{"prompt_ids": [1, 2], "chosen_ids": [3], "rejected_ids": [4]}""");
        string[] Of(MeetOptions options, params DataRecord[] rows) => [.. ((IAlignmentMethod)Meet(options)).Prepare(rows, context).Select(g => $"{g.Control} {g.Completions.Single().Tokens[0]}")];
        Assert.That(Of(new(), yes, no, pair), Is.EqualTo(new[] { "good 3", "bad 4", "good 3", "bad 4" }));
        Assert.That(Of(new() { Controls = ["good"] }, yes, no, pair), Is.EqualTo(new[] { "good 3", "good 3" }));
        Assert.That(() => Of(new() { JointLoss = "dpo" }, yes), Throws.InstanceOf<UserErrorException>().With.Message.Contains("joint_loss: dpo compares"));
    }

    [Test]
    public void The_loss_is_the_mean_over_answers_of_their_mean_or_their_sum()
    {
        CompletionGroup[] groups = [new([1], [Completion.Of([3, 4, 5])]) { Control = "good" }, new([1], [Completion.Of([6])]) { Control = "bad" }];
        var values = torch.tensor(new[] { -1f, -2f, -3f, -8f });
        MethodLoss Of(string type) => ((IAlignmentMethod)Meet(new MeetOptions { LossType = type })).Loss(new ScoredBatch(groups, values, torch.ones(4)) { Statistics = new Dictionary<string, Tensor> { ["argmax_hit"] = values } });
        Assert.That(Of("mean").Numerator.item<double>() / Of("mean").Denominator, Is.EqualTo((2.0 + 8) / 2));
        Assert.That(Of("sum").Numerator.item<double>() / Of("sum").Denominator, Is.EqualTo((6.0 + 8) / 2));
        Assert.That((Of("mean").Metrics["nll/good"], Of("mean").Metrics["logps/good"], Of("mean").Metrics["nll/bad"]), Is.EqualTo((2.0, -6.0, 8.0)));
    }

    [Test]
    public void Options_that_contradict_each_other_are_refused()
    {
        void Refuses(MeetOptions options, string why) => Assert.That(() => Meet(options), Throws.InstanceOf<UserErrorException>().With.Message.Contains(why));
        Refuses(new() { Controls = ["bad"] }, "lack good");
        Refuses(new() { Controls = ["good", "good"] }, "twice");
        Refuses(new() { ControlShare = 1 }, "stages: controls");
        var run = Run("short", new MeetOptions());
        Assert.That(() => Trainer.Train(run with { Options = Options with { MaxSteps = 1 } }), Throws.InstanceOf<UserErrorException>().With.Message.Contains("'joint'"));
    }
}
