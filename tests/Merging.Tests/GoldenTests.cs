// Every golden merge: mergekit's YAML through our planner and writer, compared with mergekit's result within the case's tolerance.

using System.Text.Json;
using PeftAlign.Torch;

namespace PeftAlign.Merging.Tests;

public class GoldenTests
{
    private static readonly string[] Deterministic = Names("cases.json");
    private static readonly string[] Random = Names("random.json");

    private static string[] Names(string file)
    {
        try
        {
            return [.. Workshop.Json(Workshop.Golden(file)).EnumerateArray().Select(c => c.GetProperty("name").GetString()!)];
        }
        catch (IgnoreException)
        {
            return ["(none: golden/merges is not there)"];
        }
    }

    private static JsonElement Case(string file, string name) =>
        Workshop.Json(Workshop.Golden(file)).EnumerateArray().Single(c => c.GetProperty("name").GetString() == name);

    [TestCaseSource(nameof(Deterministic))]
    public void OursIsMergekits(string name)
    {
        var golden = Case("cases.json", name);
        using var scope = torch.NewDisposeScope();
        var folder = Workshop.Merge(Workshop.Golden(golden.GetProperty("yaml").GetString()!), Workshop.Golden());
        var ours = Workshop.Tensors(folder);
        if (golden.TryGetProperty("vocab", out var vocab)) CheckVocabulary(folder, vocab);
        var (atol, rtol) = Tolerance(golden);
        if (name == "bf16-files-dtype-fp32") SettleTies(ours, Workshop.Tensors(Workshop.Golden(golden.GetProperty("result").GetString()!)));
        Compare.Close(name, ours, Workshop.Tensors(Workshop.Golden(golden.GetProperty("result").GetString()!)), atol, rtol);
        CheckConfig(folder, golden.GetProperty("config"), golden.GetProperty("has_lm_head").GetBoolean());
    }

    [TestCaseSource(nameof(Random))]
    public void GivenItsMasksOursIsMergekits(string name)
    {
        var golden = Case("random.json", name);
        using var scope = torch.NewDisposeScope();
        var masks = Workshop.Tensors(Workshop.Golden(golden.GetProperty("masks").GetString()!));
        var yaml = Workshop.Golden(golden.GetProperty("yaml").GetString()!);
        var options = new MergeOptions { Masks = (model, tensor) => masks[$"{model}|{tensor}"] };
        var (atol, rtol) = Tolerance(golden);
        Compare.Close(name, Workshop.Tensors(Workshop.Merge(yaml, Workshop.Golden(), options)), Workshop.Tensors(Workshop.Golden(golden.GetProperty("result").GetString()!)), atol, rtol);
        // The papers' rescaling, named in the file.
        var text = File.ReadAllText(yaml);
        if (text.Contains("rescale: false", StringComparison.Ordinal)) return;
        var exact = Path.Combine(Workshop.Scratch(), "exact.yml");
        File.WriteAllText(exact, text.Contains("\nparameters:", StringComparison.Ordinal) ? text.Replace("\nparameters:", "\nparameters: &before", StringComparison.Ordinal) : text + "\nparameters: {rescale: exact}\n");
        if (text.Contains("\nparameters:", StringComparison.Ordinal)) File.WriteAllText(exact, WithRescale(text));
        Compare.Close(name + " exact", Workshop.Tensors(Workshop.Merge(exact, Workshop.Golden(), options)), Workshop.Tensors(Workshop.Golden(golden.GetProperty("result_exact_rescale").GetString()!)), atol, rtol);
    }

    // Differences of bfloat16 files are often equal in magnitude, and which of the equal ones at the threshold mergekit keeps is its
    // sorting algorithm's choice (AVX-512 quicksort, not stable). As many of them are kept; the others must agree.
    private static void SettleTies(Dictionary<string, Tensor> ours, Dictionary<string, Tensor> expected)
    {
        var (origin, model) = (Workshop.Tensors(Workshop.Golden("models", "base-bf16")), Workshop.Tensors(Workshop.Golden("models", "a-bf16")));
        var settled = 0.0;
        foreach (var (name, tensor) in expected)
        {
            var size = (model[name].to(torch.float32) - origin[name].to(torch.float32)).abs();
            var threshold = size.reshape(-1).sort(-1, true).Values[(int)(0.5 * size.numel()) - 1].item<float>();
            var ties = size.eq(threshold).logical_and(ours[name].ne(tensor));
            settled += ties.to(torch.float32).sum().item<float>();
            ours[name] = torch.where(ties, tensor, ours[name]);
        }
        Assert.That(settled, Is.InRange(1, 20), "entries of equal magnitude that mergekit chose otherwise, of 5820");
    }

    private static string WithRescale(string text)
    {
        var line = text.Split('\n').Single(l => l.StartsWith("parameters:", StringComparison.Ordinal));
        return line.Contains('{', StringComparison.Ordinal)
            ? text.Replace(line, line.Replace("{", "{rescale: exact, ", StringComparison.Ordinal), StringComparison.Ordinal)
            : text.Replace(line, line + "\n  rescale: exact", StringComparison.Ordinal);
    }

    private static (double Atol, double Rtol) Tolerance(JsonElement golden) =>
        (golden.GetProperty("tolerance").GetProperty("atol").GetDouble(), golden.GetProperty("tolerance").GetProperty("rtol").GetDouble());

    private static void CheckConfig(string folder, JsonElement expected, bool head)
    {
        var config = Workshop.Json(Path.Combine(folder, "config.json"));
        foreach (var key in (string[])["num_hidden_layers", "vocab_size"])
            Assert.That(config.GetProperty(key).GetInt32(), Is.EqualTo(expected.GetProperty(key).GetInt32()), key);
        // A written head is used, unlike in mergekit's result.
        Assert.That(config.GetProperty("tie_word_embeddings").GetBoolean(), Is.EqualTo(!head));
    }

    private static void CheckVocabulary(string folder, JsonElement expected)
    {
        var tokenizer = Workshop.Json(Path.Combine(folder, "tokenizer.json"));
        var ids = tokenizer.GetProperty("model").GetProperty("vocab").EnumerateObject().ToDictionary(t => t.Name, t => t.Value.GetInt64());
        foreach (var token in tokenizer.GetProperty("added_tokens").EnumerateArray()) ids[token.GetProperty("content").GetString()!] = token.GetProperty("id").GetInt64();
        Assert.That(ids, Is.EquivalentTo(expected.EnumerateObject().ToDictionary(t => t.Name, t => t.Value.GetInt64())));
    }
}
