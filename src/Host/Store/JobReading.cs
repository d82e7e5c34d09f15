// From a job's folder to its row of the index. What cannot be read counts as not there: an index never stops a run.

using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Host.Running;

namespace PeftAlign.Host.Store;

internal static class JobReading
{
    /// <summary>Times and sizes of the files that the row is read from, and the time of the folder, which shows what was deleted; empty for a folder without a job.</summary>
    internal static string Stamp(JobFolder job) =>
        !File.Exists(job.Spec) ? "" : string.Join('|', ((string[])[job.Spec, job.Result, job.Failure, job.Timing]).Select(path => new FileInfo(path)).Select(file => file.Exists ? $"{file.LastWriteTimeUtc.Ticks}.{file.Length}" : "").Append($"{Directory.GetLastWriteTimeUtc(job.Path).Ticks}"));

    /// <summary>The row; null where job.json cannot be read.</summary>
    internal static IndexedJob? Read(JobFolder job, string stamp)
    {
        if (Json(job.Spec) is not { } spec || Text(spec["kind"]) is not { } kind) return null;
        var state = Whole(job) is not null && IsThere(job, kind) ? JobState.Finished : File.Exists(job.Failure) ? JobState.Failed : JobState.Begun;
        var timing = state == JobState.Finished ? Json(job.Timing) : null;
        return new IndexedJob(job.Id, kind, Text(spec["label"]) ?? "", state)
        {
            Stamp = stamp,
            Started = Text(timing?["started"]) ?? "",
            Seconds = Number(timing?["seconds"]),
            PeakMemory = (long?)Number(timing?["peak_memory_bytes"]),
            Error = state == JobState.Failed ? Text(Json(job.Failure)?["error"]) ?? "" : "",
            Axes = (spec["axes"] as JsonObject ?? []).ToDictionary(axis => axis.Key, axis => Text(axis.Value) ?? ""),
            Metrics = state == JobState.Finished ? Metrics(job) : [],
        };
    }

    // As the report sees it: an evaluation whose files were deleted is made again and has no number to show; a training's curve needs no weights.
    private static bool IsThere(JobFolder job, string kind)
    {
        try
        {
            return kind != "evaluate" || job.IsFinished;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    private static Dictionary<string, double> Metrics(JobFolder job)
    {
        var found = Numbers(Whole(job)?["outcome"] as JsonObject ?? []);
        foreach (var (name, value) in LastRow(job.File("metrics.jsonl")))
            if (Number(value) is { } number) found.TryAdd(name, number);
        return found;
    }

    /// <summary>The numbers of a job's outcome; of an evaluation its metrics, "acc,none" as acc (lm-evaluation-harness's name without a filter).</summary>
    internal static Dictionary<string, double> Numbers(JsonObject outcome)
    {
        var found = new Dictionary<string, double>();
        foreach (var (name, value) in outcome.Concat(outcome["results"] as JsonObject ?? []))
            if (Number(value) is { } number) found[name.EndsWith(",none", StringComparison.Ordinal) ? name[..^",none".Length] : name] = number;
        return found;
    }

    private const int LongestRow = 65_536;

    private static JsonObject LastRow(string path)
    {
        try
        {
            using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
            file.Seek(-Math.Min(file.Length, LongestRow), SeekOrigin.End);
            using var reader = new StreamReader(file, Encoding.UTF8);
            var lines = reader.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries);
            return lines.Length > 0 ? JsonNode.Parse(lines[^1]) as JsonObject ?? [] : [];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException)
        {
            return [];
        }
    }

    private static JsonObject? Whole(JobFolder job)
    {
        try
        {
            return job.ReadResult();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    private static JsonObject? Json(string path)
    {
        try
        {
            return File.Exists(path) ? JsonNode.Parse(File.ReadAllText(path)) as JsonObject : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException)
        {
            return null;
        }
    }

    private static string? Text(JsonNode? node) => node is JsonValue value && value.TryGetValue<string>(out var text) ? text : null;

    private static double? Number(JsonNode? node) => node is JsonValue value
        ? value.TryGetValue<double>(out var number) ? number : value.TryGetValue<string>(out var text) && text is "NaN" or "Infinity" or "-Infinity" ? double.Parse(text, CultureInfo.InvariantCulture) : null
        : null;
}
