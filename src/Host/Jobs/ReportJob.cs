// The table that a run ends with, from its report.

using System.Globalization;
using System.Text.Json.Nodes;
using PeftAlign.Host.Reports;

namespace PeftAlign.Host.Jobs;

internal static class ReportJob
{
    /// <summary>A table: a line for each policy, a column for each benchmark with its first metric, of several drawings of the answers their mean.</summary>
    internal static IEnumerable<string> Lines(JsonObject report)
    {
        var evaluations = report["jobs"]!.AsArray().Where(j => (string?)j!["kind"] == "evaluate")
            .SelectMany(j => j!["labels"]!.AsArray(), (j, label) => (Label: ((string)label!).Split('#')[0].Split('/', 3), Results: j!["result"]!["results"]!.AsObject())).ToList();
        if (evaluations.Count == 0) return [];
        var columns = evaluations.Select(e => (Benchmark: WithoutSeed(e.Label[1]), Metric: FirstMetric(e.Results))).Distinct().ToList();
        var rows = new Dictionary<string, List<(string Benchmark, JsonObject Results)>[]>();
        foreach (var (label, results) in evaluations)
        {
            var twin = 1;
            var column = columns.IndexOf((WithoutSeed(label[1]), FirstMetric(results)));
            string Name() => twin == 1 ? label[^1] : $"{label[^1]} ({twin})"; // asked again by a benchmark of the same name: on other data
            while (rows.TryGetValue(Name(), out var cells) && cells[column].Any(drawn => drawn.Benchmark == label[1])) twin++;
            if (!rows.ContainsKey(Name())) rows.Add(Name(), [.. columns.Select(_ => new List<(string, JsonObject)>())]);
            rows[Name()][column].Add((label[1], results));
        }
        var table = new TextTable(["policy (± standard error)", .. columns.Select(c => c.Benchmark == c.Metric ? $">{c.Metric}" : $">{c.Benchmark} {c.Metric}")]);
        foreach (var (policy, cells) in rows) table.Add([policy, .. cells.Select((drawn, k) => Number([.. drawn.Select(d => d.Results)], columns[k].Metric))]);
        return table.Lines();
    }

    // "reward[temperature=1,seed=2]" is a drawing of "reward[temperature=1]".
    private static string WithoutSeed(string benchmark)
    {
        if (benchmark.IndexOf('[', StringComparison.Ordinal) is not (> 0 and var at) || !benchmark.EndsWith(']')) return benchmark;
        var settings = Drawings.WithoutSeed(benchmark[(at + 1)..^1]);
        return settings.Count > 0 ? $"{benchmark[..at]}[{string.Join(",", settings)}]" : benchmark[..at];
    }

    // "acc", or "exact_match,strict" where there is a filter.
    private static string FirstMetric(JsonObject results) => results.First(r => r.Key.Contains(',')).Key is var key && key.EndsWith(",none", StringComparison.Ordinal) ? key[..^",none".Length] : key;

    private static string Number(IReadOnlyList<JsonObject> drawn, string metric)
    {
        if (drawn.Count == 0) return "";
        var (name, filter) = metric.Split(',') is [var own, var by] ? (own, by) : (metric, "none");
        var (values, errors) = (Numbers(drawn, $"{name},{filter}"), Numbers(drawn, $"{name}_stderr,{filter}"));
        if (values.Count < drawn.Count) return drawn[0][$"{name},{filter}"]?.ToString() ?? "none";
        return Short(values.Average()) + (errors.Count == drawn.Count ? $" ± {Short(errors.Average())}" : "");
    }

    private static List<double> Numbers(IReadOnlyList<JsonObject> drawn, string key) =>
        [.. drawn.Select(results => results[key] is JsonValue node && node.TryGetValue<double>(out var value) ? value : (double?)null).OfType<double>()];

    private static string Short(double value) => value.ToString("0.000", CultureInfo.InvariantCulture);
}
