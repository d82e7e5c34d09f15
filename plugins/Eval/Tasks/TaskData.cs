// The rows of a task's splits, from local files: JSON lines, JSON lists and CSV, plain or gzip, as dataset_path json or csv names
// them in dataset_kwargs.data_files.

using System.Text.Json.Nodes;

namespace PeftAlign.Eval.Tasks;

/// <param name="task">The task.</param>
internal sealed class TaskData(TaskConfig task)
{
    private readonly Dictionary<string, IReadOnlyList<JsonObject>> known = [];

    /// <summary>The split that is evaluated.</summary>
    internal IReadOnlyList<JsonObject> Items => Rows(task.Text("test_split") ?? task.Text("validation_split") ?? throw task.Fault("has neither test_split nor validation_split", "name the split that is evaluated"));

    /// <summary>Where solved examples come from: a split that is named for them counts before written ones, as in the harness.</summary>
    internal IReadOnlyList<JsonObject> Solved =>
        task.FewshotSplit is { } split ? Rows(split)
        : task.List(task.FewshotConfig["samples"], "fewshot_config.samples") is { } samples ? [.. samples.Select(s => s as JsonObject ?? throw task.Fault("has a sample in fewshot_config that is no mapping", "write each with the columns of a row"))]
        : task.Text("training_split") is { } training ? Rows(training)
        : Rows(task.Text("validation_split") ?? task.Text("test_split")!);

    private IReadOnlyList<JsonObject> Rows(string split)
    {
        if (known.TryGetValue(split, out var rows)) return rows;
        var kind = task.Text("dataset_path");
        if (kind is not ("json" or "csv"))
            throw task.Fault($"dataset_path '{kind}' is on a hub, which is not asked", "save its rows as JSON lines and write dataset_path: json with dataset_kwargs: { data_files: { SPLIT: FILE } }");
        if (task.Content["dataset_name"] is { } name) throw task.Fault($"'dataset_name: {name}' is not supported for files", "leave it out");
        var kwargs = task.Content["dataset_kwargs"] as JsonObject ?? [];
        if (kwargs.FirstOrDefault(e => e.Key != "data_files").Key is { } other) throw task.Fault($"dataset_kwargs has '{other}', which is not supported", "known is data_files");
        var files = kwargs["data_files"] switch
        {
            JsonObject map => map[split],
            { } node when split == "train" => node,
            _ => null,
        } ?? throw task.Fault($"has no file for its split '{split}'", "name it in dataset_kwargs: { data_files: { SPLIT: FILE } }");
        return known[split] = TaskColumns.Read([.. task.Texts(files, "data_files").Select(p => Path.GetFullPath(p, task.Data))], kind == "csv");
    }
}
