// Which factor matters: an analysis of variance of each benchmark's first number over the trained policies.

using System.Text.RegularExpressions;
using PeftAlign.Core.Statistics;

namespace PeftAlign.Host.Reports;

/// <summary>Column: Benchmark and metric. Shares: Factor and its share of the variance (eta squared, type II), what only several
/// explain together, and the residual. Why: Why there are none; empty where there are.</summary>
internal sealed record FactorRow(string Column, IReadOnlyList<(string Factor, double Share, double P)> Shares, string Why)
{
    /// <summary>Trained policies, a seed each.</summary>
    internal int Policies { get; init; }

    /// <summary>Factors whose levels go with levels of the others, so that no share of theirs can be told.</summary>
    internal IReadOnlyList<string> Inseparable { get; init; } = [];

    /// <summary>What the shares leave open; empty for nothing.</summary>
    internal string Note => string.Join("; ", new[]
    {
        Inseparable.Count > 0 ? $"{string.Join(" and ", Inseparable)} cannot be told from the other factors" : "",
        Shares.Sum(s => s.Share) > 1 + Factors.LeastShared ? "the shares are more than the whole, since policies are spread unevenly and some factors hide each other" : "",
    }.Where(part => part.Length > 0));
}

internal static partial class Factors
{
    internal const double LeastShared = 1e-9;
    private const double RoundingShare = 1e-20;
    private const string SharedBySeveral = "shared by several factors", Row = "row";
    private static readonly string[] Names = ["model", "dataset", "method", "adapter", "variant"];

    // What two rows ask alike is one number.
    internal static IReadOnlyList<FactorRow> Of(RunData data)
    {
        var jobs = data.Jobs.ToDictionary(j => j.Id);
        return [.. data.Reported.Where(m => m.Observation.IsFirst && m.Job.Axis("policy") == "trained" && m.Job.Axis("checkpoint").Length == 0)
            .DistinctBy(m => (m.Job.Id, m.Metric)).GroupBy(m => $"{m.Job.Setting} {m.Metric}{(m.Job.Axis("control") is { Length: > 0 } control ? $" ({control})" : "")}").Select(group => One(group.Key, [.. group], jobs) with { Policies = group.Count() })];
    }

    private static FactorRow One(string column, IReadOnlyList<Measured> all, Dictionary<string, RunJob> jobs)
    {
        var varied = Varied(all, jobs);
        if (varied.Count == 0) return new FactorRow(column, [], "nothing varies among the trained policies");
        var values = all.Select(m => m.Observation.Value).ToArray();
        // Factors that divide the policies alike are one: beside the other each would explain nothing.
        var factors = varied.GroupBy(f => string.Join(' ', f.Levels.Select(level => Array.IndexOf(f.Levels, level))))
            .Select(alike => (Name: string.Join(" = ", alike.Select(f => f.Name)), alike.First().Levels)).ToArray();
        try
        {
            var table = Anova.Table(values, [.. factors.Select(f => f.Name)], [.. factors.Select(f => f.Levels)], Anova.Terms(factors.Length, false), SumOfSquares.TypeII);
            // Of equal scores nothing is left but what rounding leaves.
            if (!(table.TotalSumOfSquares > RoundingShare * values.Sum(v => v * v))) return new FactorRow(column, [], "all policies score the same");
            var shares = table.Terms.Where(t => t.DegreesOfFreedom > 0).Select(t => (t.Name, Share: t.Eta2 < LeastShared ? 0 : t.Eta2, t.PValue)).ToList(); // what rounding leaves of none is none
            if (1 - shares.Sum(s => s.Share) is > LeastShared and var shared) shares.Insert(shares.Count - 1, (SharedBySeveral, shared, double.NaN));
            return new FactorRow(column, shares, "") { Inseparable = [.. table.Terms.Where(t => t.DegreesOfFreedom == 0).Select(t => t.Name)] };
        }
        catch (StatisticsException)
        {
            return new FactorRow(column, [], $"{all.Count} trained policies leave no residual for {string.Join(", ", varied.Select(f => f.Name))}; more seeds or cells would");
        }
    }

    // Beside what every policy has: rows and earlier stages, where policies that are alike in all else differ in them. They would pass for the noise of seeds.
    private static IReadOnlyList<(string Name, string[] Levels)> Varied(IReadOnlyList<Measured> all, Dictionary<string, RunJob> jobs)
    {
        var found = Names.Select(f => (Name: f, Levels: all.Select(m => m.Job.Axis(f)).ToArray())).Where(f => f.Levels.Distinct().Count() > 1).ToList();
        foreach (var (name, of) in ((string, Func<RunJob, string>)[])[(Row, job => job.Axis(Row)), ("hand-over", HandOver), ("earlier data", job => EarlierData(job, jobs))])
        {
            var levels = all.Select(m => of(m.Job)).ToArray();
            var cells = all.Select((m, k) => (Cell: string.Join('\n', found.Select(f => f.Levels[k]).Append(m.Job.Axis("seed"))), Level: levels[k], At: k));
            var differing = cells.GroupBy(c => c.Cell).Where(cell => cell.Select(c => c.Level).Distinct().Count() > 1).SelectMany(cell => cell).OrderBy(c => c.At).Select(c => c.Level).Distinct().ToList();
            // Of others a row's name says nothing.
            if (differing.Count > 0) found.Add((name, name == Row ? [.. levels.Select(level => differing.IndexOf(level) > 0 ? level : "")] : levels));
        }
        return found;
    }

    // Where the stages before ended: "epoch:3".
    private static string HandOver(RunJob job) => string.Join(' ', Mark().Matches(job.Name).Select(m => m.Value));

    private static string EarlierData(RunJob job, Dictionary<string, RunJob> jobs)
    {
        var stages = new List<string>();
        for (var at = Trained(job, jobs); at is not null && at.Axis("stage") != "1" && at.Axis("stage").Length > 0 && Trained(at, jobs) is { } before; at = before) stages.Insert(0, before.Axis("dataset"));
        return string.Join('>', stages);
    }

    private static RunJob? Trained(RunJob job, Dictionary<string, RunJob> jobs) => job.DependsOn.Select(id => jobs.GetValueOrDefault(id)).FirstOrDefault(j => j is { Kind: "train" } && j.Axis("seed") == job.Axis("seed"));

    [GeneratedRegex(@"(?<=@)(epoch|step):[0-9]+(?=/)")]
    private static partial Regex Mark();
}
