// Every objective under every adapter, and with all weights: three steps on the same rows, each with a lower loss than the one before; a
// run that was killed after the second ends with the bytes of one that was not; under an adapter the base's weights are as they were,
// so that adapter off is the base; and a saved folder gives the trained policy again. A new objective or adapter is one row here.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Methods.Coh;
using PeftAlign.Methods.Cpo;
using PeftAlign.Methods.Dpo;
using PeftAlign.Methods.Kto;
using PeftAlign.Methods.Meet;
using PeftAlign.Methods.Orpo;
using PeftAlign.Methods.Reward;
using PeftAlign.Models;
using PeftAlign.Models.Adapters;
using PeftAlign.Models.Classifiers;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Peft.Bottleneck;
using PeftAlign.Peft.IA3;
using PeftAlign.Peft.Lora;
using PeftAlign.Peft.Prefix;
using PeftAlign.Peft.Prompt;
using PeftAlign.Torch;

namespace PeftAlign.Training.Tests;

public sealed class ObjectiveMatrixTests : TrainingTest
{
    private const string Full = "full";

    private static readonly Dictionary<string, (string Data, Func<IAlignmentMethod> Method)> Objectives = new()
    {
        ["sft"] = ("prompt-completion", () => Fixtures.Sft()),
        ["dpo"] = ("pairs", () => Fixtures.Dpo(new DpoOptions { Beta = 0.5 })),
        ["ipo"] = ("pairs", () => Fixtures.Dpo(new DpoOptions { LossType = ["ipo"] })),
        ["kto"] = ("unpaired", () => Fixtures.Method<KtoPlugin, KtoOptions>("kto", new() { Beta = 0.5 })),
        ["kto of pairs"] = ("pairs", () => Fixtures.Method<KtoPlugin, KtoOptions>("kto", new() { LossType = "apo_zero_unpaired", Beta = 0.5 })),
        ["orpo"] = ("pairs-bos", () => Fixtures.Method<OrpoPlugin, OrpoOptions>("orpo", new())),
        ["cpo"] = ("pairs-bos", () => Fixtures.Method<CpoPlugin, CpoOptions>("cpo", new())),
        ["simpo"] = ("pairs-bos", () => Fixtures.Method<CpoPlugin, SimpoOptions>("simpo", new())),
        ["coh"] = ("pairs", () => Fixtures.Method<CohPlugin, CohOptions>("coh", new() { GoodMarkerIds = [7, 8], BadMarkerIds = [9, 8], HiddenPast = 0 })),
        ["coh, past tokens hidden"] = ("pairs", () => Fixtures.Method<CohPlugin, CohOptions>("coh", new() { GoodMarkerIds = [7, 8], BadMarkerIds = [9, 8], HiddenPast = 0.02 })),
        ["reward"] = ("pairs", () => Fixtures.Method<RewardPlugin, RewardOptions>("reward", new() { CenterRewardsCoefficient = 0.01 })),
        ["meet"] = ("pairs", () => Fixtures.Method<MeetPlugin, MeetOptions>("meet", new() { ModelLearningRate = 1e-3, JointControlFactor = 0.5 })),
        ["meet, controls alone"] = ("unpaired", () => Fixtures.Method<MeetPlugin, MeetOptions>("meet", new() { Stages = "controls" })),
    };

    // With a learning rate at which Adam's first steps, all of one size, do not overshoot.
    private static readonly Dictionary<string, (double LearningRate, Func<IPeftAdapter>? Adapter)> Adapters = new()
    {
        [Full] = (1e-3, null),
        ["lora"] = (1e-3, () => Fixtures.Adapter<LoraPlugin, LoraOptions>("lora", new() { Dropout = 0.1 })),
        ["dora"] = (1e-3, () => Fixtures.Adapter<LoraPlugin, LoraOptions>("lora", new() { UseDora = true, Targets = ["all-linear"] })),
        ["pissa"] = (1e-3, () => Fixtures.Adapter<LoraPlugin, LoraOptions>("lora", new() { Rank = 4, Init = "pissa" })),
        ["ia3"] = (1e-2, () => Fixtures.Adapter<IA3Plugin, IA3Options>("ia3", new())),
        ["prompt"] = (1e-2, () => Fixtures.Adapter<PromptPlugin, PromptOptions>("prompt", new() { NumVirtualTokens = 5 })),
        ["prompt of rows"] = (1e-3, () => Fixtures.Adapter<PromptPlugin, PromptOptions>("prompt", new() { NumVirtualTokens = 5, Init = "sample_vocab" })),
        ["prefix"] = (1e-2, () => Fixtures.Adapter<PrefixPlugin, PrefixOptions>("prefix", new() { NumVirtualTokens = 4 })),
        ["prefix with projection"] = (1e-3, () => Fixtures.Adapter<PrefixPlugin, PrefixOptions>("prefix", new() { NumVirtualTokens = 4, PrefixProjection = true, EncoderHiddenSize = 24 })),
        ["bottleneck"] = (1e-3, () => Fixtures.Adapter<BottleneckPlugin, BottleneckOptions>("bottleneck", new() { BottleneckSize = 8, TrainNorms = true })),
        ["pfeiffer"] = (1e-3, () => Fixtures.Adapter<BottleneckPlugin, BottleneckOptions>("bottleneck", new() { BottleneckSize = 8, Placement = "pfeiffer", NonLinearity = "relu", Init = "zero" })),
    };

    // Controls are adapters.
    private static IEnumerable<TestCaseData> Pairs() =>
        from objective in Objectives.Keys from adapter in Adapters.Keys where adapter != Full || !objective.StartsWith("meet", StringComparison.Ordinal) select new TestCaseData(objective, adapter);

    [TestCaseSource(nameof(Pairs))]
    public void Three_steps_lower_the_loss_and_resume_to_the_same_bytes(string objective, string adapter)
    {
        torch.set_num_threads(1);
        string At(string name) => Path.Combine(Folder, name);
        var (whole, policies) = Run(At("whole"), objective, adapter);
        var before = Answers(whole, ForwardMode.Plain);
        var outcome = Trainer.Train(whole with { Progress = p => { if (p.Step == 2) Copy(At("whole"), At("killed")); } });
        Assert.That(outcome.Steps, Is.EqualTo(3));
        var losses = File.ReadLines(Path.Combine(At("whole"), "metrics.jsonl")).Select(line => (double)JsonNode.Parse(line)!["loss"]!).ToList();
        Assert.That(losses, Is.Ordered.Descending, string.Join(", ", losses));
        Assert.That(losses[0] - losses[2], Is.GreaterThan(1e-5), "it has learned something");

        var (again, _) = Run(At("killed"), objective, adapter);
        Assert.That(Trainer.Train(again).ResumedFrom, Is.EqualTo(2));
        Assert.That(File.ReadAllBytes(Path.Combine(At("killed"), "metrics.jsonl")), Is.EqualTo(File.ReadAllBytes(Path.Combine(At("whole"), "metrics.jsonl"))));
        foreach (var ((name, tensor), (_, other)) in Tensors(whole).Zip(Tensors(again))) Assert.That(other.equal(tensor), name);

        if (adapter == Full || objective == "meet") return; // the model's own weights are others now
        Assert.That(Answers(whole, ForwardMode.Plain).equal(before), "adapter off is the base");
        foreach (var (control, policy) in policies) AssertReloads(whole, control, policy, adapter);
    }

    // The folder's policy is the trained one, and not the base.
    private static void AssertReloads(TrainingRun run, string control, IPeftAdapter policy, string adapter)
    {
        var (outline, sites) = (run.Model.Outline("base-model"), run.Controls?[control] ?? run.Adapter!);
        var files = policy.Save(outline, sites);
        var loaded = Adapters[adapter].Adapter!().Load(outline, new AdapterFiles((JsonObject)files.Config.DeepClone(), files.Tensors));
        Tensor Under(IReadOnlyList<AdapterSite> deltas) => Answers(run, new ForwardMode { Deltas = AdapterLayers.Deltas(deltas) });
        Assert.That((Under(sites) - Under(loaded)).abs().max().item<float>(), Is.LessThan(1e-4));
        Assert.That((Under(sites) - Answers(run, ForwardMode.Plain)).abs().max().item<float>(), Is.GreaterThan(1e-4));
    }

    private static (TrainingRun Run, IReadOnlyDictionary<string, IPeftAdapter> Policies) Run(string folder, string objective, string adapter)
    {
        var (method, from) = (Objectives[objective].Method(), Fixtures.Path("trajectories", "base-model"));
        var model = method.Needs.Scores ? RewardFolder.Load(from, 3, device: TestDevice.Here) : ModelFolder.Load(from, device: TestDevice.Here);
        string[] controls = [.. (method as ITrainsControls)?.Controls ?? [""]];
        var policies = adapter == Full ? [] : controls.ToDictionary(c => c, _ => Adapters[adapter].Adapter!());
        var sites = policies.Index().ToDictionary(p => p.Item.Key, p => p.Item.Value.Attach(model.Outline("base-model"), (ulong)p.Index + 5));
        return (new TrainingRun
        {
            Model = model,
            Records = [.. Fixtures.Records(Fixtures.Path("trajectories", "data", Objectives[objective].Data + ".json")).Take(8)],
            Method = method,
            Adapter = sites.GetValueOrDefault(""),
            Controls = method is ITrainsControls ? sites : null,
            Options = new TrainingOptions { LearningRate = Adapters[adapter].LearningRate, LrScheduler = "constant", BatchSize = 16, MaxSteps = 3, Shuffle = false, SaveEvery = 1, Seed = 4 },
            Folder = Directory.CreateDirectory(folder).FullName,
        }, policies);
    }

    private static IEnumerable<(string Name, Tensor Tensor)> Tensors(TrainingRun run) =>
        (run.Controls?.Values.SelectMany(s => s) ?? run.Adapter ?? []).SelectMany(s => s.Delta.Parameters.Select(p => ($"{s.Module}.{p.Key}", p.Value))).Concat(run.Model.Weights.Select(w => (w.Key, w.Value)));

    private static Tensor Answers(TrainingRun run, ForwardMode mode)
    {
        using var off = torch.no_grad();
        var context = new PrepareContext(null, 512, new MaskLedger()) { BatchSize = run.Options.BatchSize };
        var groups = run.Method.Prepare((run.Method as IArrangesRecords)?.Arrange(run.Records, context) ?? run.Records, context).Select(g => g with { Control = null }).ToList();
        return new LogProbEngine(run.Model).LogProbs(groups, mode);
    }
}
