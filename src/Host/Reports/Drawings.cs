// A benchmark that is asked with several seeds of generation (seed: { grid: [...] }) draws the answers of one policy several times. Reports
// show their mean: drawings of one training are no trainings of their own, and a column for each would be read by nobody.

using PeftAlign.Core.Claims;

namespace PeftAlign.Host.Reports;

internal static class Drawings
{
    /// <summary>The settings of a benchmark's variant, "temperature=1,seed=2", but for the seed of its generation.</summary>
    internal static IReadOnlyList<string> WithoutSeed(string variant) =>
        [.. variant.Split(',', StringSplitOptions.RemoveEmptyEntries).Where(part => !part.StartsWith("seed=", StringComparison.Ordinal))];

    /// <summary>One number for each policy, seed and metric of a benchmark's setting.</summary>
    internal static IReadOnlyList<Measured> Means(IReadOnlyList<Measured> measured) =>
        [.. measured.GroupBy(m => (m.Job.Policy, Seed: m.Job.Axis("seed"), m.Job.Setting, m.Metric)).SelectMany(same => same.DistinctBy(m => m.Job.Benchmark).ToList() is { Count: > 1 } drawn ? [Mean(drawn)] : same.ToList())];

    private static Measured Mean(IReadOnlyList<Measured> drawn)
    {
        var first = drawn[0];
        var items = ByItem([.. drawn.Select(m => m.Observation.Items)]);
        return first with
        {
            Observation = new Observation
            {
                Axes = first.Observation.Axes,
                Metric = first.Observation.Metric,
                IsFirst = first.Observation.IsFirst,
                Value = drawn.Average(m => m.Observation.Value),
                Items = items,
                HigherIsBetter = first.Observation.HigherIsBetter,
            },
            Scores = items,
            // Of a mean over the same items no larger than the mean of the errors.
            StandardError = drawn.All(m => m.StandardError is not null) ? drawn.Average(m => m.StandardError!.Value) : null,
            Count = drawn.Min(m => m.Count),
            Cut = drawn.Max(m => m.Cut),
            Drawings = drawn.Count,
        };
    }

    // Each item's mean; none where a drawing lacks one (a judge gave no verdict on it).
    private static double[] ByItem(IReadOnlyList<double[]> scores) =>
        scores.All(own => own.Length == scores[0].Length) ? [.. Enumerable.Range(0, scores[0].Length).Select(k => scores.Average(own => own[k]))] : [];
}
