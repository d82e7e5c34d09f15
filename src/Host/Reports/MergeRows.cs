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
        var final = model.Data.Measured.Where(m => m.Job.Axis("checkpoint").Length == 0 && m.Job.Axis("control").Length == 0)
            .ToLookup(m => (m.Job.Policy, Seed: m.Job.Axis("seed"), Column: $"{m.Job.Benchmark} {m.Metric}"), m => m.Observation.Value);
        var merges = model.Data.Placed.Where(j => j.Kind == "merge").ToLookup(j => j.Policy);
        var places = model.Data.Placed.ToLookup(j => j.Id);
        var parents = merges.SelectMany(m => m).DistinctBy(m => m.Id).ToDictionary(m => m.Id, m => Parents(model.Data, m).Select(id => places[id]));
        return
        [
            .. from merged in model.FirstMetrics
               where merged.Kind == "merged"
               let found = from merge in merges[merged.Policy]
                           from parent in parents[merge.Id]
                           from place in parent.Where(place => final.Contains((place.Policy, place.Axis("seed"), merged.Column))).Take(1)
                           select (Policy: Called(place, merge), Value: final[(place.Policy, place.Axis("seed"), merged.Column)].First())
               let rows = found.GroupBy(f => f.Policy).Select(f => (f.Key, f.Average(one => one.Value))).ToList()
               where rows.Count > 1
               select new MergeRow(merged.Policy, merged.Column, merged.Value, rows, merged.HigherIsBetter)
        ];
    }

    // A merge of each seed is told as a mean over seeds, and so are its parents.
    private static string Called(RunJob parent, RunJob merge) =>
        parent.Axis("seed") is { Length: > 0 } seed && seed != merge.Axis("seed") ? $"{parent.Policy}/s{seed}" : parent.Policy;

    // Ids of the parents' jobs. The merge depends on its base too, which is no parent; its options tell them apart.
    private static IReadOnlyList<string> Parents(RunData data, RunJob merge)
    {
        var folder = data.Run.Job(merge.Id);
        if (!File.Exists(folder.Spec)) return [];
        return RunText.Read(folder, folder.Spec, () => JobSpec.Read(folder).Options["parents"]!.AsArray().Select(p => p!["weights"] is JsonObject made ? (string?)made["job"] : null).OfType<string>().ToList());
    }
}
