// Solved examples in front of an item: the first rows, or a draw as lm-evaluation-harness makes it (Python's generator with seed
// 1234, going on from item to item; an item that is drawn for itself is left out where their split is the task's test_split, or the
// task names neither).

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Eval.Scoring;

namespace PeftAlign.Eval.Tasks;

internal sealed class Fewshot
{
    private const uint Seed = 1234;

    private static readonly string[] Known = ["sampler", "split", "samples", "doc_to_text", "doc_to_target", "doc_to_choice", "target_delimiter", "fewshot_delimiter"];

    private readonly TaskConfig task;
    private readonly IReadOnlyList<JsonObject> pool;
    private readonly int shots;
    private readonly bool first, leavesOut;
    private readonly PythonRandom random = new(Seed);

    internal Fewshot(TaskConfig task, IReadOnlyList<JsonObject> pool, int shots)
    {
        (this.task, this.pool, this.shots) = (task, pool, shots);
        foreach (var (key, _) in task.FewshotConfig)
            if (!Known.Contains(key)) throw task.Fault($"fewshot_config has '{key}', which is not supported", $"known are {string.Join(", ", Known)}");
        var sampler = task.Text(task.FewshotConfig["sampler"], "fewshot_config.sampler") ?? "default";
        first = sampler == "first_n" ? true : sampler == "default" ? false : throw task.Fault($"sampler '{sampler}' is not supported", "use first_n or default");
        task.List(task.FewshotConfig["samples"], "fewshot_config.samples");
        // Two absent names are one to the harness: without them too the rows may hold the item.
        leavesOut = task.FewshotSplit == task.Text("test_split");
        if (shots > 0 && Drawn > pool.Count) throw task.Fault($"{shots} solved examples are asked for, and there are {pool.Count} rows to take them from{(Drawn > shots ? ", one of which may be the item itself" : "")}", "ask for fewer");
    }

    // One more than are shown where one may be the item.
    private int Drawn => leavesOut && !first ? shots + 1 : shots;

    /// <summary>The examples of the next item; call for each item in order.</summary>
    internal IReadOnlyList<JsonObject> Next(JsonObject item)
    {
        if (shots == 0) return [];
        bool Own(JsonObject row) => leavesOut && JsonNode.DeepEquals(row, item);
        if (first) return pool.Where(row => !Own(row)).Take(shots).ToList() is var taken && taken.Count == shots ? taken : throw TooFew(taken.Count);
        List<JsonObject> drawn = [.. random.Sample(pool.Count, Drawn).Select(k => pool[k]).Where(row => !Own(row)).Take(shots)];
        if (drawn.Count == shots) return drawn;
        // Copies of the item among the rows: drawn again from the others.
        List<JsonObject> others = [.. pool.Where(row => !Own(row))];
        if (others.Count < shots) throw TooFew(others.Count);
        return [.. random.Sample(others.Count, shots).Select(k => others[k])];
    }

    private UserErrorException TooFew(int others) => task.Fault($"{shots} solved examples are asked for, and {others} rows differ from the item", "ask for fewer");
}
