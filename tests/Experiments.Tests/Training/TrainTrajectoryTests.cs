// peftalign train on TRL's own rows, from TRL's own start: every step's numbers and the final adapter are TRL's. sft-lora and
// dpo-lora, kto and orpo lie beside the tests and always run. TRL's logits/* of orpo, cpo and simpo are means over padding too: not compared.

using System.Text.Json.Nodes;

namespace PeftAlign.Experiments.Tests;

public sealed class TrainTrajectoryTests
{
    private static readonly string[] Compared = ["loss", "grad_norm", "learning_rate", "num_tokens", "epoch", "entropy", "mean_token_accuracy", "logits/chosen", "logits/rejected", "rewards/chosen", "rewards/rejected", "rewards/margins", "logps/chosen", "logps/rejected", "kl", "nll_loss", "log_odds_ratio", "log_odds_chosen"];

    private static readonly string[] WithoutReference = ["orpo", "cpo", "simpo"];

    [TestCase("sft-lora")]
    [TestCase("sft-prompt-tuning")]
    [TestCase("dpo-lora")]
    [TestCase("dpo-lora", "--precompute_ref_log_probs")] // as dpo-precomputed: the same numbers
    [TestCase("kto")]
    [TestCase("orpo")]
    public void Runs_beside_the_tests(string name, params string[] more) => Train(Path.Combine(Peftalign.Repository, "tests", "fixtures", "trajectories"), name, 1e-4, more);

    [TestCase("sft-lora-plain", 1e-4)]
    [TestCase("sft-packed", 1e-4)]
    [TestCase("sft-ragged", 2e-3)]
    [TestCase("dpo-ipo", 1e-4)]
    [TestCase("dpo-mpo", 1e-4)]
    [TestCase("dpo-ragged", 1e-4)]
    [TestCase("dpo-after-sft", 1e-4)]
    [TestCase("cpo", 1e-4)]
    [TestCase("simpo", 1e-4)]
    public void Adapter_runs(string name, double tolerance) => Train(Peftalign.Golden("trajectories"), name, tolerance);

    [TestCase("sft-full")]
    [TestCase("dpo-full")]
    [TestCase("dpo-full", "--precompute_ref_log_probs")]
    public void Full_runs(string name, params string[] more) => Train(Peftalign.Golden("trajectories"), name, 1e-4, more);

    // Rows that are longer than the models' windows.
    [Test]
    public void Families([Values("gemma3", "granite", "olmo2", "olmo3", "smollm3")] string family, [Values("sft-full", "sft-lora", "dpo-lora")] string run)
    {
        var folder = Path.Combine(Peftalign.Repository, "tests", "fixtures", "architectures", family);
        var golden = Peftalign.Json(Path.Combine(folder, "trainings.json"))[run]!;
        Train(golden, golden["rows"]!.AsArray(), folder, run.EndsWith("-full", StringComparison.Ordinal) ? null : (Path.Combine(folder, "adapter-start"), Path.Combine(folder, run)), run, 1e-4);
    }

    private static void Train(string root, string name, double tolerance, params string[] more)
    {
        var golden = Peftalign.Json(Path.Combine(root, name, "run.json"));
        var rows = Peftalign.Json(Path.Combine(root, (string)golden["data"]!))["rows"]!.AsArray();
        Train(golden, rows, Path.Combine(root, "base-model"), Start(root, name) is { } start ? (start, Path.Combine(root, name, "adapter_final")) : null, name, tolerance, more);
    }

    private static void Train(JsonNode golden, JsonArray rows, string model, (string Start, string End)? adapter, string name, double tolerance, params string[] more)
    {
        using var user = new Peftalign();
        user.Write("rows.jsonl", string.Concat(rows.Select(row => row!.ToJsonString() + "\n")));
        var start = adapter?.Start;
        var outcome = Peftalign.Call([
            "train", name.Split('-')[0], "--model", model, "--data", user.File("rows.jsonl"), "--out", user.Run, "--shuffle", "false", "--threads", "1",
            .. start is null ? (string[])[] : ["--adapter", name.EndsWith("-prompt-tuning", StringComparison.Ordinal) ? "prompt" : "lora", "--init-adapter", start], .. Settings(golden["settings"]!.AsObject(), [.. Common, .. Own(name.Split('-')[0])]), .. more]);
        Assert.That(outcome.Code, Is.Zero, outcome.All);
        var history = golden["history"]!.AsArray();
        var metrics = File.ReadLines(Path.Combine(user.Run, "metrics.jsonl")).Select(line => JsonNode.Parse(line)!).ToList();
        Assert.That(metrics, Has.Count.EqualTo(history.Count));
        foreach (var (row, entry) in metrics.Zip(history))
            foreach (var metric in Compared.Where(m => entry![m] is not null && !(m.StartsWith("logits/", StringComparison.Ordinal) && WithoutReference.Contains(name))))
                Assert.That((double)row[metric]!, Is.EqualTo((double)entry![metric]!).Within(1e-4 * Math.Max(Math.Abs((double)entry[metric]!), 0.1)), $"{name}, step {entry["step"]}, {metric}");
        Assert.That(Directory.Exists(Path.Combine(user.Run, "reference", "log_probs")), Is.EqualTo(more.Length > 0));
        if (adapter is { End: var end }) CompareAdapters(Path.Combine(user.Run, "adapter"), end, tolerance);
        else Assert.That(File.Exists(Path.Combine(user.Run, "model", "model.safetensors")));
    }

    // TRL's options under TRL's names.
    private static readonly string[] Common = ["learning_rate", "lr_scheduler_type", "warmup_steps", "per_device_train_batch_size", "gradient_accumulation_steps", "weight_decay", "max_grad_norm", "max_length"];

    private static string[] Own(string method) => method switch
    {
        "dpo" => ["beta", "loss_weights", "loss_type"],
        "kto" => ["beta", "loss_type", "desirable_weight", "undesirable_weight"],
        "orpo" => ["beta"],
        "cpo" => ["beta", "loss_type", "label_smoothing", "cpo_alpha", "alpha"],
        "simpo" => ["beta", "loss_type", "label_smoothing", "cpo_alpha", "alpha", "simpo_gamma"],
        _ => [],
    };

    private static IEnumerable<string> Settings(JsonObject settings, string[] names)
    {
        foreach (var name in names)
            if (settings[name] is { } value && !(name == "warmup_steps" && (int)value == 0))
                foreach (var part in (string[])[name == "alpha" ? "--method-alpha" : "--" + name, value is JsonArray list ? string.Join(',', list.Select(Text)) : Text(value)]) yield return part; // lora has an alpha too
        var (steps, epochs) = ((int)settings["max_steps"]!, settings["num_train_epochs"]!);
        foreach (var part in steps > 0 ? (string[])["--max_steps", $"{steps}"] : ["--num_train_epochs", Text(epochs)]) yield return part;
    }

    private static string Text(JsonNode? value) => value!.GetValueKind() == System.Text.Json.JsonValueKind.String ? (string)value! : value.ToJsonString();

    private static string? Start(string root, string name) => name switch
    {
        _ when name.EndsWith("-full", StringComparison.Ordinal) => null,
        "dpo-after-sft" => Path.Combine(root, "sft-lora", "adapter_final"),
        _ => Path.Combine(root, name, "adapter_init"),
    };

    private static void CompareAdapters(string ours, string theirs, double tolerance)
    {
        var (a, b) = (Tensors(Path.Combine(ours, "adapter_model.safetensors")), Tensors(Path.Combine(theirs, "adapter_model.safetensors")));
        Assert.That(a.Keys, Is.EquivalentTo(b.Keys));
        foreach (var (name, values) in b)
            Assert.That(a[name].Zip(values, (x, y) => Math.Abs(x - y)).Aggregate(Math.Max), Is.LessThanOrEqualTo(tolerance), name);
    }

    // safetensors of float32: a length, a JSON header, the numbers.
    private static Dictionary<string, float[]> Tensors(string file)
    {
        var bytes = File.ReadAllBytes(file);
        var header = (int)BitConverter.ToInt64(bytes, 0);
        var json = JsonNode.Parse(bytes.AsSpan(8, header))!.AsObject();
        return json.Where(t => t.Key != "__metadata__").ToDictionary(t => t.Key, t =>
        {
            var (from, to) = ((int)t.Value!["data_offsets"]![0]!, (int)t.Value["data_offsets"]![1]!);
            return System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(bytes.AsSpan(8 + header + from, to - from)).ToArray();
        });
    }
}
