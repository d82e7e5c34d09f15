// What planning, the agenda, estimates and summaries need to know about a finished job. A plan may have thousands of jobs, each needed many
// times, so result.json is read once; after that only its file times and size are compared.

using System.Collections.Concurrent;
using System.Text.Json.Nodes;
using PeftAlign.Host.Jobs;

namespace PeftAlign.Host.Running;

/// <param name="Kind">The job's kind; empty where it was not recorded.</param>
/// <param name="Until">The point at which a training stopped; empty for its end.</param>
/// <param name="Unanswered">Of an evaluation, the questions to its judge that nobody answered.</param>
/// <param name="MadeWith">Hashes of the files that the job was made with, by name.</param>
/// <param name="Made">Names of the folders that a training or a merge wrote, and of the files of an evaluation; empty where they were not noted.</param>
internal sealed record FinishedJob(string Kind, string Until, int Unanswered, IReadOnlyDictionary<string, string> MadeWith, IReadOnlyList<string> Made)
{
    private const string MadeKey = "made";

    private static readonly ConcurrentDictionary<string, (FileStamp Stamp, FinishedJob? Job)> Known = new();

    /// <summary>Of a job's folder; null where result.json is not there or damaged, or what the job made is gone.</summary>
    internal static FinishedJob? Of(JobFolder folder) => Recorded(folder) is { } found && found.HasProduct(folder) ? found : null;

    /// <summary>What result.json says, also where what the job made is gone; null where it is not there or damaged.</summary>
    internal static FinishedJob? Recorded(JobFolder folder)
    {
        // It appears by rename, so that another result is another file.
        if (FileStamp.Of(folder.Result) is not { } stamp) return null;
        if (Known.TryGetValue(folder.Result, out var known) && known.Stamp == stamp) return known.Job;
        var found = folder.ReadResult() is { } result ? Of(result) : null;
        Known[folder.Result] = (stamp, found);
        return found;
    }

    private static FinishedJob Of(JsonObject result) => new(Text(result["kind"]), Text(result["until"]), result["outcome"]?[EvaluateJob.UnansweredKey] is JsonValue open && open.TryGetValue<int>(out var count) ? count : 0,
        (result["made_with"] as JsonObject ?? []).ToDictionary(file => string.Intern(file.Key), file => string.Intern(Text(file.Value))),
        [.. (result[MadeKey] as JsonArray ?? []).Select(name => string.Intern(Text(name)))]);

    /// <summary>Notes in the result of a training, a merge or an evaluation what it wrote: all of it is asked for later. A training that
    /// stopped at a point has that point's folder alone.</summary>
    internal static void NoteMade(JsonObject result, JobFolder folder)
    {
        if (Text(result["kind"]) is "evaluate")
            result[MadeKey] = new JsonArray([.. Directory.GetFiles(folder.Path, "samples_*.jsonl").Append(folder.Results).Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal).Select(name => (JsonNode)name)]);
        if (Text(result["kind"]) is not ("train" or "merge") || Text(result["until"]).Length > 0) return;
        result[MadeKey] = new JsonArray([.. ((string[])[folder.Adapter, folder.Adapters, folder.Model]).Where(Directory.Exists).Select(path => (JsonNode)Path.GetFileName(path))]);
    }

    private static string Text(JsonNode? node) => node is JsonValue value && value.TryGetValue<string>(out var text) ? text : "";

    // What jobs after it open. A training that stopped at a point has that point's folder alone, which the plan names.
    private bool HasProduct(JobFolder folder) => Kind switch
    {
        "make-model" => Directory.Exists(folder.Model),
        "train" when Until.Length > 0 => true,
        "train" or "merge" when Made.Count > 0 => Made.All(name => Directory.Exists(folder.File(name))),
        "train" or "merge" => Directory.Exists(folder.Model) || Directory.Exists(folder.Adapter) || Directory.Exists(folder.Adapters),
        MakeDatasetJob.Kind => File.Exists(folder.Rows),
        "reference" => Directory.Exists(folder.LogProbs),
        "evaluate" => File.Exists(folder.Results) && Made.All(name => File.Exists(folder.File(name))),
        _ => true,
    };
}
