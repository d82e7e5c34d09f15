// Merged policies beside what they were made of.

using System.Text.Json.Nodes;
using PeftAlign.Host.Jobs;

namespace PeftAlign.Host.Reports;

/// <summary>Merge: The merged policy. Column: Benchmark and metric. Value: Its number. Parents: The parents' numbers by policy; of a merge
/// that gathers seeds by policy and seed.</summary>
internal sealed record MergeRow(string Merge, string Column, double Value, IReadOnlyList<(string Policy, double Value)> Parents, bool HigherIsBetter)
{
    internal double AgainstMean => Value - Parents.Average(p => p.Value);

    internal double AgainstBest => Value - (HigherIsBetter ? Parents.Max(p => p.Value) : Parents.Min(p => p.Value));
}

internal static class MergeRows
{
    internal static IReadOnlyList<MergeRow> Of(ReportModel model)
    {
        var numbers = model.Data.Reported.ToLookup(m => (m.Job.Policy, m.Job.Axis("seed"), $"{m.Job.Setting} {m.Metric}"), m => m.Observation.Value);
        var merges = model.Data.Placed.Where(j => j.Kind == "merge").ToLookup(j => j.Policy);
        var places = model.Data.Placed.ToLookup(j => j.Id);
        var parents = merges.SelectMany(m => m).DistinctBy(m => m.Id).ToDictionary(m => m.Id, m => Parents(model.Data, m).Select(parent => places[parent.Job].SelectMany(place => Points(place, parent.Point).Select(point => At(place, point))).ToList()).ToList());
        return
        [
            .. from merged in model.Estimates
               where merged.IsFirst && merged.Kind == "merged"
               let found = from merge in merges[merged.Policy]
                           from parent in parents[merge.Id]
                           from place in parent.Where(place => numbers.Contains((place.Policy, place.Axis("seed"), merged.Column))).Take(1)
                           select (Policy: Called(place, merge), Value: numbers[(place.Policy, place.Axis("seed"), merged.Column)].First())
               let rows = found.GroupBy(f => f.Policy).Select(f => (f.Key, f.Average(one => one.Value))).ToList()
               where rows.Count > 1
               select new MergeRow(merged.Policy, merged.Column, merged.Value, rows, merged.HigherIsBetter)
        ];
    }

    // A merge of each seed is told as a mean over seeds, and so are its parents.
    private static string Called(RunJob parent, RunJob merge) =>
        parent.Axis("seed") is { Length: > 0 } seed && seed != merge.Axis("seed") ? $"{parent.Policy}/s{seed}" : parent.Policy;

    private static RunJob At(RunJob place, string point) => point.Length == 0 ? place : place with { Axes = new Dictionary<string, string>(place.Axes) { ["checkpoint"] = point } };

    // A training's end may have been asked for by its last step, and its last step as its end.
    private static IEnumerable<string> Points(RunJob place, string point)
    {
        var last = (long?)place.Outcome?["steps"] is { } steps ? $"step:{steps}" : "";
        return point.Length == 0 && last.Length > 0 ? [point, last] : point == last ? [point, ""] : [point];
    }

    // The parents' jobs and points (empty for the end). The merge depends on its base too, which is no parent; its options tell them apart.
    private static IReadOnlyList<(string Job, string Point)> Parents(RunData data, RunJob merge)
    {
        var folder = data.Run.Job(merge.Id);
        if (!File.Exists(folder.Spec)) return [];
        return RunText.Read(folder, folder.Spec, () => JobSpec.Read(folder).Options["parents"]!.AsArray().Select(p => p!["weights"]).OfType<JsonObject>().Where(made => made.ContainsKey("job")).Select(made => ((string)made["job"]!, (string?)made["checkpoint"] ?? "")).ToList());
    }
}
