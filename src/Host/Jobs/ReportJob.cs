// The table that a run ends with, from its report.

using System.Globalization;
using System.Text.Json.Nodes;

namespace PeftAlign.Host.Jobs;

internal static class ReportJob
{
    /// <summary>A table: a line for each policy, a column for each benchmark with its first metric.</summary>
    internal static IEnumerable<string> Lines(JsonObject report)
    {
        var evaluations = report["jobs"]!.AsArray().Where(j => (string?)j!["kind"] == "evaluate")
            .SelectMany(j => j!["labels"]!.AsArray(), (j, label) => (Label: ((string)label!).Split('#')[0].Split('/', 3), Results: j!["result"]!["results"]!.AsObject())).ToList();
        if (evaluations.Count == 0) return [];
        var columns = evaluations.Select(e => (Benchmark: e.Label[1], Metric: FirstMetric(e.Results))).Distinct().ToList();
        var rows = new Dictionary<string, string[]>();
        foreach (var (label, results) in evaluations)
        {
            var (metric, twin) = (FirstMetric(results), 1);
            var column = columns.IndexOf((label[1], metric));
            string Name() => twin == 1 ? label[^1] : $"{label[^1]} ({twin})"; // asked again by a benchmark of the same name: on other data
            while (rows.TryGetValue(Name(), out var cells) && cells[column].Length > 0) twin++;
            if (!rows.ContainsKey(Name())) rows.Add(Name(), [.. columns.Select(_ => "")]);
            rows[Name()][column] = Number(results, metric);
        }
        var table = new TextTable(["policy (± standard error)", .. columns.Select(c => c.Benchmark == c.Metric ? $">{c.Metric}" : $">{c.Benchmark} {c.Metric}")]);
        foreach (var (policy, cells) in rows) table.Add([policy, .. cells]);
        return table.Lines();
    }

    // "acc", or "exact_match,strict" where there is a filter.
    private static string FirstMetric(JsonObject results) => results.First(r => r.Key.Contains(',')).Key is var key && key.EndsWith(",none", StringComparison.Ordinal) ? key[..^",none".Length] : key;

    private static string Number(JsonObject results, string metric)
    {
        var (name, filter) = metric.Split(',') is [var own, var by] ? (own, by) : (metric, "none");
        if (results[$"{name},{filter}"] is not JsonValue node || !node.TryGetValue<double>(out var value)) return results[$"{name},{filter}"]?.ToString() ?? "none";
        var error = results[$"{name}_stderr,{filter}"] is JsonValue e && e.TryGetValue<double>(out var number) ? $" ± {number.ToString("0.000", CultureInfo.InvariantCulture)}" : "";
        return value.ToString("0.000", CultureInfo.InvariantCulture) + error;
    }
}
