// score and generate on a model of every family, as users call them: log-probs and greedy ids are transformers'.

using System.Buffers.Binary;
using System.Text.Json.Nodes;

namespace PeftAlign.Experiments.Tests;

public sealed class ArchitectureCommandTests
{
    private const int NewTokens = 24;

    [TestCase("llama")]
    [TestCase("llama3-gqa-tied")]
    [TestCase("mistral-window")]
    [TestCase("mistral-full")]
    [TestCase("qwen2")]
    [TestCase("qwen3")]
    [TestCase("gemma2")]
    [TestCase("phi3")]
    [TestCase("gpt2")]
    [TestCase("gpt-neo")]
    [TestCase("gpt-neox")]
    [TestCase("opt-after")]
    [TestCase("phi")]
    [TestCase("gptj")]
    [TestCase("falcon-groups")]
    [TestCase("cohere")]
    [TestCase("gemma3-images")]
    public void Log_probs_and_greedy_ids_are_the_reference(string family)
    {
        var beside = Path.Combine(Peftalign.Repository, "tests", "fixtures", "families", family, "base-model");
        var folder = Directory.Exists(beside) ? beside : Path.Combine(Peftalign.Golden("models"), family);
        using var user = new Peftalign();
        var golden = Peftalign.Json(Path.Combine(folder, "golden.json"));
        var (ids, present, completed) = (Integers(folder, "input_ids"), Integers(folder, "attention_mask"), Integers(folder, "completion_mask"));
        var (scored, prompts) = (new List<JsonObject>(), new List<JsonObject>());
        for (var b = 0; b < ids.Length; b++)
        {
            var row = ids[b][..(int)present[b].Sum()];
            var cut = Array.IndexOf(completed[b], 1L);
            scored.Add(new JsonObject { ["prompt_ids"] = List(row[..cut]), ["completion_ids"] = List(row[cut..]) });
            prompts.Add(new JsonObject { ["prompt_ids"] = List(row) });
        }
        var sums = Answers(user, "score", folder, scored).Select(a => (double)a["logprob"]!);
        Assert.That(sums, Is.EqualTo(golden["sum_completion_logprob"]!.AsArray().Select(x => (double)x!)).Within(1e-4));
        var made = Answers(user, "generate", folder, prompts, "--max-new-tokens", $"{NewTokens}", "--ignore-eos", "--temperature", "0", "--generation-config", "none");
        Assert.That(made.Select(a => a["ids"]!.ToJsonString()), Is.EqualTo(golden["greedy"]!.AsArray().Select(g => g!.ToJsonString())));
    }

    private static List<JsonNode> Answers(Peftalign user, string command, string folder, IEnumerable<JsonObject> rows, params string[] args)
    {
        var file = user.Write("rows.jsonl", string.Join('\n', rows.Select(r => r.ToJsonString())));
        var outcome = Peftalign.Call([command, "--model", folder, "--in", file, "--threads", "1", .. args]);
        Assert.That(outcome.Code, Is.Zero, outcome.All);
        return [.. outcome.Out.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => JsonNode.Parse(l)!)];
    }

    // (rows, columns) int64 of golden.safetensors: a length, a JSON header with offsets, the bytes.
    private static long[][] Integers(string folder, string name)
    {
        var bytes = File.ReadAllBytes(Path.Combine(folder, "golden.safetensors"));
        var header = (int)BinaryPrimitives.ReadInt64LittleEndian(bytes);
        var entry = JsonNode.Parse(bytes.AsSpan(8, header))![name]!;
        Assert.That((string)entry["dtype"]!, Is.EqualTo("I64"));
        var (start, columns) = (8 + header + (int)entry["data_offsets"]![0]!, (int)entry["shape"]![1]!);
        return [.. Enumerable.Range(0, (int)entry["shape"]![0]!).Select(row =>
            Enumerable.Range(0, columns).Select(column => BinaryPrimitives.ReadInt64LittleEndian(bytes.AsSpan(start + (8 * ((row * columns) + column))))).ToArray())];
    }

    private static JsonArray List(long[] ids) => [.. ids.Select(id => (JsonNode)id)];
}
