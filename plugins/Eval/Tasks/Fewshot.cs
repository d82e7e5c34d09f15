// Solved examples in front of an item: the first rows, or a draw as lm-evaluation-harness makes it (Python's generator with seed
// 1234, going on from item to item; an item that is drawn for itself is left out).

using System.Text.Json.Nodes;
using PeftAlign.Eval.Scoring;

namespace PeftAlign.Eval.Tasks;

internal sealed class Fewshot
{
    private const uint Seed = 1234;

    private readonly TaskConfig task;
    private readonly IReadOnlyList<JsonObject> pool;
    private readonly int shots;
    private readonly bool first, leavesOut;
    private readonly PythonRandom random = new(Seed);

    internal Fewshot(TaskConfig task, IReadOnlyList<JsonObject> pool, int shots)
    {
        (this.task, this.pool, this.shots) = (task, pool, shots);
        var config = task.Content["fewshot_config"] as JsonObject;
        foreach (var (key, value) in config ?? [])
            if (key is not ("sampler" or "split" or "samples" or "doc_to_text" or "doc_to_target" or "doc_to_choice")) throw task.Fault($"fewshot_config has '{key}', which is not supported", "known are sampler, split, samples, doc_to_text, doc_to_target, doc_to_choice");
        var sampler = task.Texts(config?["sampler"], "fewshot_config.sampler").FirstOrDefault() ?? "default";
        first = sampler == "first_n" ? true : sampler == "default" ? false : throw task.Fault($"sampler '{sampler}' is not supported", "use first_n or default");
        leavesOut = (task.Text("fewshot_split") ?? task.Texts(config?["split"], "fewshot_config.split").FirstOrDefault()) is { } split && split == task.Text("test_split");
        if (shots > pool.Count - (leavesOut ? 1 : 0)) throw task.Fault($"{shots} solved examples are asked for, and there are {pool.Count} rows to take them from{(leavesOut ? ", one of them the item itself" : "")}", "ask for fewer");
    }

    /// <summary>The examples of the next item; call for each item in order.</summary>
    internal IReadOnlyList<JsonObject> Next(JsonObject item)
    {
        if (shots == 0) return [];
        bool Own(JsonObject row) => leavesOut && JsonNode.DeepEquals(row, item);
        if (first) return [.. pool.Where(row => !Own(row)).Take(shots)];
        List<JsonObject> drawn = [.. random.Sample(pool.Count, leavesOut ? shots + 1 : shots).Select(k => pool[k]).Where(row => !Own(row)).Take(shots)];
        if (drawn.Count == shots) return drawn;
        // Copies of the item among the rows: drawn again from the others.
        List<JsonObject> others = [.. pool.Where(row => !Own(row))];
        if (others.Count < shots) throw task.Fault($"{shots} solved examples are asked for, and {others.Count} rows differ from the item", "ask for fewer");
        return [.. random.Sample(others.Count, shots).Select(k => others[k])];
    }
}
