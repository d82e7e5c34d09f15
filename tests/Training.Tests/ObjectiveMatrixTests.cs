// Every objective under every adapter: three updates on the same rows with a falling loss, and a run that was killed after the second
// ends with the same bytes. A new objective or adapter is one more line here.

using PeftAlign.Abstractions;
using PeftAlign.Methods.Coh;
using PeftAlign.Methods.Cpo;
using PeftAlign.Methods.Dpo;
using PeftAlign.Methods.Kto;
using PeftAlign.Methods.Orpo;
using PeftAlign.Methods.Reward;
using PeftAlign.Models;
using PeftAlign.Models.Classifiers;
using PeftAlign.Models.Decoders;
using PeftAlign.Peft.IA3;
using PeftAlign.Peft.Lora;

namespace PeftAlign.Training.Tests;

public sealed class ObjectiveMatrixTests : TrainingTest
{
    private const int Steps = 3;

    private static readonly Dictionary<string, (string Rows, Func<IAlignmentMethod> Method)> Objectives = new()
    {
        ["sft"] = ("prompt-completion", () => Fixtures.Sft()),
        ["dpo"] = ("pairs", () => Fixtures.Dpo(new DpoOptions { Beta = 0.5 })),
        ["kto"] = ("unpaired", () => Fixtures.Method<KtoPlugin, KtoOptions>("kto", new KtoOptions { Beta = 0.5 })),
        ["kto of pairs"] = ("pairs", () => Fixtures.Method<KtoPlugin, KtoOptions>("kto", new KtoOptions { LossType = "apo_zero_unpaired", Beta = 0.5 })),
        ["orpo"] = ("pairs", () => Fixtures.Method<OrpoPlugin, OrpoOptions>("orpo", new OrpoOptions { Beta = 0.5 })),
        ["cpo"] = ("pairs", () => Fixtures.Method<CpoPlugin, CpoOptions>("cpo", new CpoOptions())),
        ["simpo"] = ("pairs", () => Fixtures.Method<CpoPlugin, SimpoOptions>("simpo", new SimpoOptions())),
        ["coh"] = ("pairs", () => Fixtures.Method<CohPlugin, CohOptions>("coh", new CohOptions { GoodMarkerIds = [7, 8], BadMarkerIds = [9, 8] })),
        ["reward"] = ("pairs", () => Fixtures.Method<RewardPlugin, RewardOptions>("reward", new RewardOptions { CenterRewardsCoefficient = 0.01 })),
    };

    // Sites over a model, or null to train every weight; and the learning rate at which three updates tell.
    private static readonly Dictionary<string, (Func<ModelOutline, IReadOnlyList<AdapterSite>>? Attach, double LearningRate)> Adapters = new()
    {
        ["full"] = (null, 1e-3),
        ["lora"] = (model => Fixtures.Adapter<LoraPlugin, LoraOptions>("lora", new LoraOptions { Rank = 4, Alpha = 8, Dropout = 0.1, Targets = ["all-linear"] }).Attach(model, 5), 5e-3),
        ["ia3"] = (model => Fixtures.Adapter<IA3Plugin, IA3Options>("ia3", new IA3Options()).Attach(model, 5), 5e-2),
    };

    private static IEnumerable<object[]> Pairs => Objectives.Keys.SelectMany(_ => Adapters.Keys, (objective, adapter) => new object[] { objective, adapter });

    [TestCaseSource(nameof(Pairs))]
    public void Three_updates_lower_the_loss_and_a_killed_run_ends_with_equal_bytes(string objective, string adapter)
    {
        var whole = Run(objective, adapter, "whole");
        Trainer.Train(whole with { Progress = p => { if (p.Step == 2) Copy(whole.Folder, Path.Combine(Folder, "killed")); } });
        var losses = File.ReadLines(Path.Combine(whole.Folder, "metrics.jsonl")).Select(line => (double)System.Text.Json.Nodes.JsonNode.Parse(line)!["loss"]!).ToList();
        Assert.That(losses, Has.Count.EqualTo(Steps));
        Assert.That(losses, Is.Ordered.Descending);
        Assert.That(losses[0] - losses[^1], Is.GreaterThan(1e-4), $"losses {string.Join(", ", losses)}");

        var resumed = Run(objective, adapter, "killed");
        Assert.That(Trainer.Train(resumed).ResumedFrom, Is.EqualTo(2));
        Assert.That(File.ReadAllText(Path.Combine(resumed.Folder, "metrics.jsonl")), Is.EqualTo(File.ReadAllText(Path.Combine(whole.Folder, "metrics.jsonl"))));
        var expected = Trained(whole);
        foreach (var (name, tensor) in Trained(resumed)) Assert.That(tensor.equal(expected[name]), name);
    }

    private TrainingRun Run(string objective, string adapter, string name)
    {
        var (rows, method) = (Objectives[objective].Rows, Objectives[objective].Method());
        var folder = Fixtures.Path("trajectories", "base-model");
        DecoderModel model = method.Needs.Scores ? RewardFolder.Load(folder, 3) : ModelFolder.Load(folder);
        var (attach, learningRate) = Adapters[adapter];
        var records = Fixtures.Records(Fixtures.Path("trajectories", "data", rows + ".json")).Take(12).ToList();
        return new TrainingRun
        {
            Model = model,
            Records = records,
            Method = method,
            Adapter = attach?.Invoke(model.Outline("base-model")),
            Options = new TrainingOptions { MaxSteps = Steps, BatchSize = 24, LearningRate = learningRate, LrScheduler = "constant", SaveEvery = 2, Shuffle = false, Seed = 3 },
            Folder = Directory.CreateDirectory(Path.Combine(Folder, name)).FullName,
        };
    }

    private static Dictionary<string, Torch.Tensor> Trained(TrainingRun run) => run.Adapter is { } sites
        ? sites.SelectMany(s => s.Delta.Parameters.Select(p => ($"{s.Module}.{p.Key}", p.Value))).ToDictionary(p => p.Item1, p => p.Value)
        : new(run.Model.Weights);
}
