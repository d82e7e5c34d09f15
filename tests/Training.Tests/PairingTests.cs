// Every objective under every adapter: three steps on the same rows, each with a lower loss than the one before; a run that was killed
// after the second ends with the bytes of one that was not; the base's weights are as they were, so that adapter off is the base; and a
// saved folder gives the trained policy again. A new objective or adapter is one row here.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Methods.Cpo;
using PeftAlign.Methods.Dpo;
using PeftAlign.Methods.Kto;
using PeftAlign.Methods.Orpo;
using PeftAlign.Models;
using PeftAlign.Models.Adapters;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Peft.Bottleneck;
using PeftAlign.Peft.IA3;
using PeftAlign.Peft.Lora;
using PeftAlign.Peft.Prefix;
using PeftAlign.Peft.Prompt;
using PeftAlign.Torch;

namespace PeftAlign.Training.Tests;

public sealed class PairingTests : TrainingTest
{
    private static readonly Dictionary<string, (string Data, Func<IAlignmentMethod> Method)> Objectives = new()
    {
        ["sft"] = ("prompt-completion", () => Fixtures.Sft()),
        ["dpo"] = ("pairs", () => Fixtures.Dpo(new DpoOptions())),
        ["ipo"] = ("pairs", () => Fixtures.Dpo(new DpoOptions { LossType = ["ipo"] })),
        ["kto"] = ("unpaired", () => Fixtures.Method<KtoPlugin, KtoOptions>("kto", new())),
        ["orpo"] = ("pairs-bos", () => Fixtures.Method<OrpoPlugin, OrpoOptions>("orpo", new())),
        ["cpo"] = ("pairs-bos", () => Fixtures.Method<CpoPlugin, CpoOptions>("cpo", new())),
        ["simpo"] = ("pairs-bos", () => Fixtures.Method<CpoPlugin, SimpoOptions>("simpo", new())),
    };

    // With a learning rate at which Adam's first steps, all of one size, do not overshoot.
    private static readonly Dictionary<string, (double LearningRate, Func<IPeftAdapter> Adapter)> Adapters = new()
    {
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

    private static IEnumerable<TestCaseData> Pairs() => Objectives.Keys.SelectMany(objective => Adapters.Keys.Select(adapter => new TestCaseData(objective, adapter)));

    [TestCaseSource(nameof(Pairs))]
    public void Three_steps_lower_the_loss_and_resume_to_the_same_bytes(string objective, string adapter)
    {
        torch.set_num_threads(1);
        string At(string name) => Path.Combine(Folder, name);
        var (whole, policy) = Run(At("whole"), objective, adapter);
        var before = Base(whole.Model, whole.Records, whole.Method);
        var outcome = Trainer.Train(whole with { Progress = p => { if (p.Step == 2) Copy(At("whole"), At("killed")); } });
        Assert.That(outcome.Steps, Is.EqualTo(3));
        var losses = File.ReadLines(Path.Combine(At("whole"), "metrics.jsonl")).Select(line => (double)JsonNode.Parse(line)!["loss"]!).ToList();
        Assert.That(losses, Is.Ordered.Descending, string.Join(", ", losses));
        Assert.That(losses[0] - losses[2], Is.GreaterThan(1e-5), "it has learned something");

        var (again, _) = Run(At("killed"), objective, adapter);
        Assert.That(Trainer.Train(again).ResumedFrom, Is.EqualTo(2));
        Assert.That(File.ReadAllBytes(Path.Combine(At("killed"), "metrics.jsonl")), Is.EqualTo(File.ReadAllBytes(Path.Combine(At("whole"), "metrics.jsonl"))));
        foreach (var (site, other) in whole.Adapter!.Zip(again.Adapter!))
            foreach (var (role, tensor) in site.Delta.Parameters) Assert.That(other.Delta.Parameters[role].equal(tensor), $"{site.Module}.{role}");

        Assert.That(Base(whole.Model, whole.Records, whole.Method).equal(before), "adapter off is the base");
        AssertReloads(whole, policy, adapter);
    }

    // The folder's policy is the trained one, and not the base.
    private static void AssertReloads(TrainingRun run, IPeftAdapter policy, string adapter)
    {
        var outline = run.Model.Outline("base-model");
        var files = policy.Save(outline, run.Adapter!);
        var loaded = Adapters[adapter].Adapter().Load(outline, new AdapterFiles((JsonObject)files.Config.DeepClone(), files.Tensors));
        var (trained, back) = (Answers(run, run.Adapter!), Answers(run, loaded));
        Assert.That((trained - back).abs().max().item<float>(), Is.LessThan(1e-4));
        Assert.That((trained - Base(run.Model, run.Records, run.Method)).abs().max().item<float>(), Is.GreaterThan(1e-4));
    }

    private static (TrainingRun Run, IPeftAdapter Policy) Run(string folder, string objective, string adapter)
    {
        var model = ModelFolder.Load(Fixtures.Path("trajectories", "base-model"));
        var policy = Adapters[adapter].Adapter();
        return (new TrainingRun
        {
            Model = model,
            Records = [.. Fixtures.Records(Fixtures.Path("trajectories", "data", Objectives[objective].Data + ".json")).Take(8)],
            Method = Objectives[objective].Method(),
            Adapter = policy.Attach(model.Outline("base-model"), 5),
            Options = new TrainingOptions { LearningRate = Adapters[adapter].LearningRate, LrScheduler = "constant", BatchSize = 8, MaxSteps = 3, Shuffle = false, SaveEvery = 1, Seed = 4 },
            Folder = Directory.CreateDirectory(folder).FullName,
        }, policy);
    }

    private static Tensor Base(DecoderModel model, IReadOnlyList<DataRecord> rows, IAlignmentMethod method) => Answers(model, rows, method, ForwardMode.Plain);

    private static Tensor Answers(TrainingRun run, IReadOnlyList<AdapterSite> sites) => Answers(run.Model, run.Records, run.Method, new ForwardMode { Deltas = AdapterLayers.Deltas(sites) });

    private static Tensor Answers(DecoderModel model, IReadOnlyList<DataRecord> rows, IAlignmentMethod method, ForwardMode mode)
    {
        using var off = torch.no_grad();
        return new LogProbEngine(model).LogProbs(method.Prepare(rows, new PrepareContext(null, 512, new MaskLedger())), mode);
    }
}
