// Results that are means of items' scores.

using PeftAlign.Abstractions;

namespace PeftAlign.Eval.Scoring;

internal static class Means
{
    /// <summary>The mean of a score over items, with its standard error.</summary>
    internal static MetricResult Of(string metric, IReadOnlyList<ItemScore> items, bool higherIsBetter = true) => Of(metric, [.. items.Select(i => i.Scores[metric])], higherIsBetter);

    /// <summary>The mean of values, with its standard error.</summary>
    internal static MetricResult Of(string metric, IReadOnlyList<double> values, bool higherIsBetter = true) =>
        new(metric, values.Average(), StandardErrors.OfMean(values), values.Count, higherIsBetter);
}
