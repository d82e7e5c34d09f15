// One number with its 95 % interval for each configuration and metric: over seeds and items where both are there.

using PeftAlign.Core.Statistics;

namespace PeftAlign.Host.Reports;

/// <summary>Policy: The configuration, without its seed. Benchmark: Label of the benchmark, without the seed of its generation. Metric: Name of the metric. Kind: untouched,
/// trained or merged. Checkpoint: "step:100", or empty for the end. Value: Mean over seeds. Interval: 95 %; NaN limits where
/// there is none. Method: How the interval was made, in words. Seeds: Number of seeds. Count: Items of each, of the seed that has the fewest.</summary>
internal sealed record Estimate(string Policy, string Benchmark, string Metric, string Kind, string Checkpoint, double Value, Interval Interval, string Method, int Seeds, int Count, bool HigherIsBetter, bool IsFirst)
{
    /// <summary>Of one job of the configuration.</summary>
    internal required RunJob Job { get; init; }

    /// <summary>See <see cref="Measured.Source"/>.</summary>
    internal required (string Row, string Metric) Source { get; init; }

    /// <summary>Who judged, and against whose answers; empty where nobody did.</summary>
    internal string Annotator { get; init; } = "";

    /// <summary>See Annotator.</summary>
    internal string Baseline { get; init; } = "";

    /// <summary>Items of the seed that has the most.</summary>
    internal int Most { get; init; }

    /// <summary>Seeds that the plan has, finished or not.</summary>
    internal int Planned { get; init; }

    /// <summary>How many seeds, and of how many where some are missing.</summary>
    internal string SeedsOf => Planned > Seeds ? $"{Seeds} of {Planned}" : $"{Seeds}";

    /// <summary>Items whose context did not fit and was cut, of the seed that has the most of them.</summary>
    internal int Cut { get; init; }

    /// <summary>How many times the answers were drawn, of the seed that has the fewest; each seed's number is their mean.</summary>
    internal int Drawings { get; init; } = 1;

    /// <summary>Whether one of the column's numbers is the best: of counts and lengths none is.</summary>
    internal bool HasBest => IsFirst || !(Metric.StartsWith("n_", StringComparison.Ordinal) || Counts.Contains(Metric));

    private static readonly HashSet<string> Counts = ["avg_length", "avg_length_base", "new_tokens", "length", "failed", "judged", "annotated", "without_verdict", "first_place_share", "consistency"];

    internal string Column => $"{Benchmark} {Metric}";

    /// <summary>Whether the interval is of one training, and says nothing of another.</summary>
    internal bool IsOfOneTraining => Seeds == 1 && Kind != "untouched" && Method.Length > 0;

    /// <summary>What such intervals mean; empty where none of these is one.</summary>
    internal static string AboutOneTraining(IEnumerable<Estimate> estimates) => estimates.Any(e => e.IsOfOneTraining)
        ? "Of a policy with one seed the interval says what other items would give, not what another training would." : "";

    /// <summary>How many items; of seeds with different numbers the fewest and the most.</summary>
    internal string Items => Range(Count, Most);

    /// <summary>What every table of this column says: who judged, against whom, how many items. Policies may have different numbers of them (a judge gave no verdict, a
    /// prompt was cut).</summary>
    internal static string Circumstances(IEnumerable<Estimate> column)
    {
        var all = column.ToList();
        string Those(string word, Func<Estimate, string> of) => string.Join(" or ", all.Select(of).Where(name => name.Length > 0).Distinct()) is { Length: > 0 } names ? $"{word} {names}" : "";
        var cut = all.Max(e => e.Cut);
        string[] parts = [Those("judged by", e => e.Annotator), Those("against", e => e.Baseline), $"n = {Range(all.Min(e => e.Count), all.Max(e => e.Most))}", cut > 0 ? $"{Range(all.Min(e => e.Cut), cut)} of them cut to fit the context" : "", all.Max(e => e.Drawings) is > 1 and var most ? $"means of {Range(all.Min(e => e.Drawings), most)} drawings" : ""];
        return string.Join("; ", parts.Where(part => part.Length > 0));
    }

    private static string Range(int least, int most) => least == most ? $"{least}" : $"{least} to {most}";

    /// <summary>The policy without the point at which it was taken.</summary>
    internal string Configuration => Job.Configuration;
}

internal static class Estimates
{
    private const double Alpha = 0.05;
    private const int Draws = 2000;
    private const double Rounding = 1e-12;
    private static readonly Interval None = new(double.NaN, double.NaN);

    // The control is told with the policy, so that good and bad stand in one column.
    internal static IReadOnlyList<Estimate> Of(IEnumerable<Measured> measured) =>
        [.. measured.GroupBy(m => (m.Job.Policy, m.Job.Setting, m.Metric)).Select(group => One(group.Key.Setting, [.. group]))];

    private static Estimate One(string benchmark, IReadOnlyList<Measured> seeds)
    {
        var first = seeds[0];
        var values = seeds.Select(s => s.Observation.Value).ToArray();
        var (interval, method) = Interval(seeds, values);
        return new Estimate(
            first.Job.Policy, benchmark, first.Metric, first.Job.Axis("policy"), first.Job.Axis("checkpoint"), values.Average(), NumberRange.Of(seeds).Clip(interval), method, seeds.Count,
            seeds.Min(s => s.Count), first.Observation.HigherIsBetter, first.Observation.IsFirst)
        { Job = first.Job, Source = first.Source, Annotator = first.Annotator, Baseline = first.Baseline, Most = seeds.Max(s => s.Count), Cut = seeds.Max(s => s.Cut), Drawings = seeds.Min(s => s.Drawings) };
    }

    // Draws from scores that are all the same say nothing of what another item would have: an interval of one point would be a promise.
    private static (Interval, string) Drawn(Interval bca, Interval percentile, string method)
    {
        var interval = double.IsNaN(bca.Lower + bca.Upper) ? percentile : bca;
        return interval.Upper > interval.Lower ? (interval, method) : (None, "");
    }

    // A bootstrap of few seeds gives too narrow an interval, however many items stand behind each; of many t's is the same.
    private static Interval Wider(Interval one, Interval other) => new(Math.Min(one.Lower, other.Lower), Math.Max(one.Upper, other.Upper));

    // What rounding leaves of equal numbers is no spread.
    private static double Negligible(double value) => Rounding * Math.Max(1, Math.Abs(value));

    private static (Interval, string) Interval(IReadOnlyList<Measured> seeds, double[] values)
    {
        var arms = seeds.Select(s => s.Observation.Items).ToArray();
        var sameItems = arms.All(items => items.Length > 1 && items.Length == arms[0].Length);
        if (seeds.Count > 1 && sameItems)
        {
            var crossed = HierarchicalBootstrap.Crossed(arms, Draws, Alpha, new RandomStream(0, "report/" + seeds[0].Job.Label));
            var (drawn, method) = Drawn(crossed.Bca, crossed.Percentile, "bootstrap over seeds and items");
            // The same answer of every seed to every item: of that a bootstrap knows nothing, but other items might have another.
            if (method.Length == 0 && arms.SelectMany(items => items).All(score => score is 0 or 1)) return (Proportions.Wilson95((int)arms[0].Sum(), arms[0].Length), "Wilson over the items, where all seeds answer alike");
            return method.Length == 0 ? (drawn, method) : (Wider(drawn, LocationTests.MeanInterval(values, 1 - Alpha)), $"the wider of {method}, and t over seeds");
        }
        if (seeds.Count > 1) return values.Max() - values.Min() > Negligible(values[0]) ? (LocationTests.MeanInterval(values, 1 - Alpha), "t over seeds") : (None, "");
        // An item without a score (a judge gave no verdict) is in neither the mean nor its interval.
        double[] own = [.. seeds[0].Scores];
        if (own.Length > 1 && own.All(score => score is 0 or 1)) return (Proportions.Wilson95((int)own.Sum(), own.Length), "Wilson");
        if (own.Length > 1)
        {
            var drawn = Bootstrap.Mean(own, Draws, Alpha, new RandomStream(0, "report/" + seeds[0].Job.Label));
            return Drawn(drawn.Bca, drawn.Percentile, "bootstrap over items");
        }
        return seeds[0].StandardError is { } error && double.IsFinite(error) && error > Negligible(values[0]) ? (new Interval(values[0] - (1.96 * error), values[0] + (1.96 * error)), "± 1.96 standard errors") : (None, "");
    }
}
