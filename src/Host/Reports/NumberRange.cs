// What a metric's number can be at all. An interval that is symmetric around a number near its bound would hold numbers that no policy can have.

using PeftAlign.Core.Statistics;

namespace PeftAlign.Host.Reports;

internal sealed record NumberRange(double Low, double High)
{
    private static readonly HashSet<string> Shares = ["acc", "acc_norm", "acc_bytes", "acc_mutual_info", "acc_macro", "exact_match", "macro_files", "macro_tasks", "f1", "f1_macro", "asr", "toxicity_probability", "empty", "first_place_share", "consistency"];
    private static readonly HashSet<string> Percentages = ["win_rate", "discrete_win_rate", "safety"];
    private static readonly HashSet<string> Counts = ["failed", "judged", "annotated", "without_verdict"];

    /// <summary>Whether the metric counts items, and so is no mean of them.</summary>
    internal static bool IsCount(string metric) => metric.StartsWith("n_", StringComparison.Ordinal) || Counts.Contains(metric);

    /// <summary>The range of a number of which these are the seeds.</summary>
    internal static NumberRange Of(IReadOnlyList<Measured> seeds)
    {
        var metric = seeds[0].Source.Metric;
        var range = IsCount(metric) ? new NumberRange(0, double.PositiveInfinity)
            : Percentages.Contains(metric) || metric.StartsWith("length_controlled_winrate", StringComparison.Ordinal) ? new NumberRange(0, 100)
            : Shares.Contains(metric) || seeds.All(s => s.Scores.Count > 0 && s.Scores.All(score => score is 0 or 1)) ? new NumberRange(0, 1)
            : new NumberRange(double.NegativeInfinity, double.PositiveInfinity);
        // A third party's metric of such a name may mean something else.
        return seeds.All(s => s.Observation.Value >= range.Low && s.Observation.Value <= range.High) ? range : new NumberRange(double.NegativeInfinity, double.PositiveInfinity);
    }

    /// <summary>The part of the interval that lies in the range.</summary>
    internal Interval Clip(Interval interval) => double.IsNaN(interval.Lower + interval.Upper) ? interval : new Interval(Math.Max(Low, interval.Lower), Math.Min(High, interval.Upper));
}
