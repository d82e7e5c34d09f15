// report.json: every trained and evaluated policy of the run with its numbers, and the one line that the run ends with.

using System.Globalization;
using System.Text.Json.Nodes;
using PeftAlign.Host.Running;

namespace PeftAlign.Host.Jobs;

internal static class ReportJob
{
    /// <summary>Builds the report from finished jobs.</summary>
    /// <param name="name">The experiment's name.</param>
    /// <param name="jobs">Id, kind, label and axes of each job.</param>
    /// <param name="run">The run's folder.</param>
    internal static JsonObject Build(string name, IEnumerable<Core.PlanJob> jobs, RunFolder run)
    {
        var rows = new JsonArray();
        foreach (var job in jobs.Where(j => j.Kind != "report"))
        {
            var folder = run.Job(job.Id);
            if (!folder.IsFinished) continue;
            rows.Add(new JsonObject
            {
                ["id"] = job.Id,
                ["kind"] = job.Kind,
                ["label"] = job.Label,
                ["axes"] = new JsonObject(job.Axes.Select(a => new KeyValuePair<string, JsonNode?>(a.Key, a.Value))),
                ["result"] = JsonNode.Parse(File.ReadAllText(folder.Result))!["outcome"]?.DeepClone(),
            });
        }
        return new JsonObject { ["peftalign_report"] = 1, ["name"] = name, ["jobs"] = rows };
    }

    /// <summary>For instance "quickstart: preference acc: tiny 0.500, tiny/world/sft-full 0.980 (n=200)".</summary>
    internal static IEnumerable<string> Lines(JsonObject report)
    {
        var evaluations = report["jobs"]!.AsArray().Where(j => (string?)j!["kind"] == "evaluate").GroupBy(j => (string)j!["result"]!["benchmark"]!);
        foreach (var benchmark in evaluations)
        {
            var parts = benchmark.Select(job => $"{Name((string)job!["label"]!)} {Accuracy(job["result"]!["results"]!)}");
            yield return $"{(string)report["name"]!}: {benchmark.Key} acc: {string.Join(", ", parts)}";
        }
    }

    // evaluate/preference/tiny/... -> tiny/...
    private static string Name(string label) => string.Join('/', label.Split('/').Skip(2));

    private static string Accuracy(JsonNode results)
    {
        var value = (double)results["acc,none"]!;
        var error = results["acc_stderr,none"] is JsonValue e && e.TryGetValue<double>(out var number) ? $" ± {number.ToString("0.000", CultureInfo.InvariantCulture)}" : "";
        return value.ToString("0.000", CultureInfo.InvariantCulture) + error;
    }
}
