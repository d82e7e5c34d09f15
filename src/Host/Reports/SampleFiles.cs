// The samples behind a row of an evaluation's results: those of its own task, or, of a group, those of all its members, in the group's
// order.

using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Host.Evaluation;
using PeftAlign.Host.Running;

namespace PeftAlign.Host.Reports;

/// <summary>Task: Whose sample it is. Json: The row of the samples file, there until the next is asked for.</summary>
internal sealed record Sample(string Task, JsonElement Json)
{
    /// <summary>A copy that stays.</summary>
    internal Sample Kept() => this with { Json = Json.Clone() };

    /// <summary>What tells the item from all others of the evaluation.</summary>
    internal string Id => Json.TryGetProperty("doc_id", out var id) ? $"{Task} {id}" : Task;

    /// <summary>How its answer was read.</summary>
    internal string Filter => Json.TryGetProperty("filter", out var filter) && filter.ValueKind == JsonValueKind.String ? filter.GetString()! : "none";

    /// <summary>What the model answered, where that is one text.</summary>
    internal string? Answer => Json.TryGetProperty("filtered_resps", out var answer) && answer.ValueKind == JsonValueKind.String ? answer.GetString() : null;

    /// <summary>A text of the item's document; null where there is none.</summary>
    internal string? Text(string name) => Json.TryGetProperty("doc", out var doc) && doc.ValueKind == JsonValueKind.Object && doc.TryGetProperty(name, out var text) && text.ValueKind == JsonValueKind.String ? text.GetString() : null;

    /// <summary>A score of the item; null where it has none of this name.</summary>
    internal double? Number(string metric) => Json.TryGetProperty(metric, out var value) && value.ValueKind == JsonValueKind.Number ? value.GetDouble() : null;
}

internal static class SampleFiles
{
    /// <summary>The rows of results.json that are no part of another: the benchmark's own, else its outermost groups and tasks.</summary>
    internal static IReadOnlyList<string> Outermost(JsonNode json, string benchmark)
    {
        if (json["results"] is not JsonObject rows) return [];
        // A group without numbers says nothing in its tasks' place.
        List<string> measured = [.. rows.Where(row => row.Value is JsonObject numbers && numbers.Any(number => number.Key.Contains(','))).Select(row => row.Key)];
        if (measured.Contains(benchmark)) return [benchmark];
        var parts = measured.SelectMany(row => Below(row, json, [])).ToHashSet();
        return [.. measured.Where(name => !parts.Contains(name))];
    }

    /// <summary>The samples of a row, task by task.</summary>
    internal static IEnumerable<Sample> Read(JobFolder folder, string row) =>
        folder.Results is var results && File.Exists(results) ? Read(folder, row, RunText.Object(folder, results)) : [];

    /// <inheritdoc cref="Read(JobFolder, string)"/>
    /// <param name="folder">The evaluation.</param>
    /// <param name="row">The row's name.</param>
    /// <param name="results">The content of results.json.</param>
    internal static IEnumerable<Sample> Read(JobFolder folder, string row, JsonNode results)
    {
        foreach (var (task, file) in Tasks(row, results, folder, []))
            foreach (var json in RunText.Rows(folder, file)) yield return new Sample(task, json);
    }

    private static IEnumerable<(string Task, string File)> Tasks(string name, JsonNode json, JobFolder folder, HashSet<string> seen)
    {
        if (!seen.Add(name)) yield break;
        var file = folder.File(ResultFiles.SamplesName(name, json));
        if (File.Exists(file)) yield return (name, file);
        else
            foreach (var member in Members(name, json))
                foreach (var found in Tasks(member, json, folder, seen)) yield return found;
    }

    private static IEnumerable<string> Below(string name, JsonNode json, HashSet<string> seen) =>
        seen.Add(name) ? Members(name, json).SelectMany(m => Below(m, json, seen).Prepend(m)) : [];

    private static IReadOnlyList<string> Members(string name, JsonNode json) => [.. (json["group_subtasks"]?[name] as JsonArray ?? []).Select(m => (string)m!)];
}
