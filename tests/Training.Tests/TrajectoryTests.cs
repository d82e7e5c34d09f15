// Whole runs against TRL: each step's metrics to 1e-4 x max(|value|, 0.1), final adapters to 1e-4 (2e-3 for the ragged run,
// where Adam divides nearly-zero gradients). sft-lora and dpo-lora lie beside the tests and always run.

using System.Globalization;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Torch;

namespace PeftAlign.Training.Tests;

public sealed class TrajectoryTests : TrainingTest
{
    private static readonly string[] Compared = ["loss", "grad_norm", "learning_rate", "num_tokens", "epoch", "step", "entropy", "mean_token_accuracy"];

    private static readonly string[] ComparedOfPairs = [.. Compared, "logits/chosen", "logits/rejected", "rewards/chosen", "rewards/rejected", "rewards/margins", "rewards/accuracies", "logps/chosen", "logps/rejected"];

    [Test]
    public void Dpo_lora_beside_the_tests() => Lora(Fixtures.Path("trajectories"), "dpo-lora", 1e-4);

    [TestCase("dpo-lora")]
    [TestCase("dpo-ipo")]
    [TestCase("dpo-mpo")]
    [TestCase("dpo-ragged")]
    [TestCase("dpo-after-sft")]
    public void Dpo_lora_runs(string run) => Lora(Fixtures.Golden("trajectories"), run, 1e-4);

    [Test]
    public void Sft_lora_beside_the_tests() => Lora(Fixtures.Path("trajectories"), "sft-lora", 1e-4);

    [TestCase("sft-lora", 1e-4)]
    [TestCase("sft-lora-plain", 1e-4)]
    [TestCase("sft-ragged", 2e-3)]
    [TestCase("sft-packed", 1e-4)]
    public void Lora_runs(string run, double tolerance)
    {
        if (run == "sft-ragged") TestDevice.RequireProcessor("Adam divides gradients that are nearly rounding alone");
        Lora(Fixtures.Golden("trajectories"), run, tolerance);
    }

    [TestCase("gpt-neox", "dpo-lora")]
    [TestCase("gpt-neox-serial", "sft-lora")]
    [TestCase("opt", "sft-lora")]
    [TestCase("opt-after", "dpo-lora")]
    [TestCase("phi", "dpo-lora")]
    [TestCase("falcon", "sft-lora")]
    [TestCase("gemma3-images", "sft-lora")]
    public void Lora_runs_of_other_families(string family, string run) => Lora(Fixtures.Path("families", family), run, 1e-4);

    [TestCase("gpt-neox", "sft-full")]
    [TestCase("opt", "dpo-full")]
    [TestCase("opt-after", "sft-full")]
    [TestCase("gptj", "sft-full")]
    [TestCase("cohere", "sft-full")]
    public void Full_fine_tuning_of_other_families(string family, string run) => Full(Fixtures.Path("families", family), run);

    [TestCase("sft-full")]
    [TestCase("dpo-full")]
    public void Full_fine_tuning(string name) => Full(Fixtures.Golden("trajectories"), name);

    private void Full(string root, string name)
    {
        var run = Run(root, name, null);
        Trainer.Train(run);
        Compare(root, name);
        using var snapshots = SafetensorsFile.Open(Path.Combine(root, name, "snapshots.safetensors"));
        var final = snapshots.Tensors.Where(t => t.Name.StartsWith("final/", StringComparison.Ordinal)).ToList();
        Assert.That(final, Is.Not.Empty);
        foreach (var tensor in final) AssertNear(run.Model.Weights[tensor.Name["final/".Length..]], snapshots.Tensor(tensor.Name), 1e-4, tensor.Name);
    }

    // Through float32 master weights; TRL's float32 losses to bfloat16's rounding.
    [TestCase("sft-full")]
    [TestCase("dpo-full")]
    public void Full_fine_tuning_in_bfloat16(string name)
    {
        var root = Fixtures.Golden("trajectories");
        var run = Run(root, name, null);
        Trainer.Train(run with { Options = run.Options with { Dtype = torch.ScalarType.BFloat16 } });
        var history = Fixtures.Json(Path.Combine(root, name, "run.json"))["history"]!.AsArray();
        var losses = File.ReadLines(Path.Combine(Folder, "metrics.jsonl")).Select(line => (double)JsonNode.Parse(line)!["loss"]!).ToList();
        Assert.That(losses, Is.EqualTo(history.Select(row => (double)row!["loss"]!)).Within(2).Percent);
        Assert.That(losses, Is.Not.EqualTo(history.Select(row => (double)row!["loss"]!)).Within(1e-3).Percent);
    }

    private void Lora(string root, string name, double tolerance)
    {
        var start = Fixtures.Adapter(Path.Combine(root, name, "adapter_init"));
        var adapter = Fixtures.Lora(start.Config);
        var run = Run(root, name, (model, path) => adapter.Load(model.Outline(path), start));
        Trainer.Train(run);
        Compare(root, name);
        var expected = Fixtures.Adapter(Path.Combine(root, name, "adapter_final"));
        var actual = adapter.Save(run.Model.Outline("base-model"), run.Adapter!);
        Assert.That(actual.Tensors.Keys, Is.EquivalentTo(expected.Tensors.Keys));
        foreach (var (key, tensor) in expected.Tensors) AssertNear(actual.Tensors[key], tensor, tolerance, key);
    }

    private TrainingRun Run(string root, string name, Func<Models.Decoders.DecoderModel, string, IReadOnlyList<AdapterSite>>? attach)
    {
        var golden = Fixtures.Json(Path.Combine(root, name, "run.json"));
        var settings = golden["settings"]!.AsObject();
        var model = ModelFolder.Load(Path.Combine(root, "base-model"), device: TestDevice.Here);
        return new TrainingRun
        {
            Model = model,
            Records = Fixtures.Records(Path.Combine(root, (string)golden["data"]!)),
            Method = (string)golden["trainer"]! == "dpo" ? Fixtures.Dpo(DpoOptions(settings)) : Fixtures.Sft(),
            Adapter = attach?.Invoke(model, "base-model"),
            Folder = Folder,
            Options = TrajectorySettings.Options(settings),
        };
    }

    internal static Methods.Dpo.DpoOptions DpoOptions(JsonObject settings) => new()
    {
        Beta = (double)settings["beta"]!,
        LossType = [.. settings["loss_type"]!.AsArray().Select(name => (string)name!)],
        LossWeights = settings["loss_weights"] is JsonArray weights ? [.. weights.Select(w => (double)w!)] : null,
    };

    private void Compare(string root, string name)
    {
        var golden = Fixtures.Json(Path.Combine(root, name, "run.json"));
        var history = golden["history"]!.AsArray();
        var compared = (string)golden["trainer"]! == "dpo" ? ComparedOfPairs : Compared;
        var rows = File.ReadLines(Path.Combine(Folder, "metrics.jsonl")).Select(line => JsonNode.Parse(line)!).ToList();
        Assert.That(rows, Has.Count.EqualTo(history.Count));
        Assert.Multiple(() =>
        {
            foreach (var (row, entry) in rows.Zip(history))
                foreach (var metric in compared)
                {
                    var expected = (double)entry![metric]!;
                    if (metric == "rewards/accuracies" && Math.Abs((double)entry["rewards/margins"]!) < 1e-5) continue;
                    Assert.That((double)row[metric]!, Is.EqualTo(expected).Within(1e-4 * Math.Max(Math.Abs(expected), 0.1)),
                        string.Create(CultureInfo.InvariantCulture, $"{name}, step {entry["step"]}, {metric}"));
                }
        });
    }

    private static void AssertNear(Tensor actual, Tensor expected, double tolerance, string name)
    {
        Assert.That(actual.shape, Is.EqualTo(expected.shape), name);
        Assert.That((actual.detach().cpu() - expected.cpu()).abs().max().item<float>(), Is.LessThanOrEqualTo(tolerance), name);
    }
}
