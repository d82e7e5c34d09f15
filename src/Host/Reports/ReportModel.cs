// What a report concludes, before it is drawn: estimates, claims, merges against parents, which factor matters, examples, costs.

using System.Text.Json;
using PeftAlign.Core.Claims;

namespace PeftAlign.Host.Reports;

/// <summary>Item: The item's id and what it says.</summary>
internal sealed record Example(string Benchmark, string Metric, string Item, string Text, string BeforePolicy, double Before, string AfterPolicy, double After)
{
    /// <summary>What the untouched model and the trained policy wrote; null where they wrote nothing.</summary>
    internal (string Before, string After)? Answers { get; init; }

    /// <summary>The answer that both were compared with; null where there is none.</summary>
    internal string? Baseline { get; init; }
}

/// <summary>Policy: What stands for the grid. By, Largest: The rule. Variants: The values of each variant's grids with its metric; null where it was not
/// finite. Chosen: The variant that was kept. Tied: How many have its value.</summary>
internal sealed record SelectionRow(string Policy, string Seed, string By, bool Largest, IReadOnlyList<(string Variant, double? Value)> Variants, string Chosen, int Tied);

internal sealed record ReportModel(RunData Data, IReadOnlyList<Estimate> Estimates, IReadOnlyList<ClaimResult> Claims, string ClaimsName)
{
    internal const int ExamplesAtMost = 3;
    private const int TextAtMost = 400, LackingToldAtMost = 20;

    /// <summary>The level of a claim's interval where it is not the others' 95 %, such as an equivalence's 90 %; else empty.</summary>
    internal static string OtherLevel(ClaimResult claim) => claim.Level < 0.94 ? $"{100 * claim.Level:0} %" : "";

    /// <summary>What "(2)" behind a policy means; empty where none has it.</summary>
    internal string AboutTwins => Final.Any(e => e.Job.Twin > 1)
        ? "A policy with (2) behind its name answered a benchmark of the same name over other data or with other settings (job.json of each says which): compare only what was asked alike."
        : "";

    /// <summary>Which evaluations lack verdicts because a judge was away; empty where none does.</summary>
    internal string AboutUnanswered => Data.Unanswered is { Count: > 0 } lacking
        ? $"Nobody answered {lacking.Sum(e => e.Count)} of the judges' questions: {string.Join(", ", lacking.Take(LackingToldAtMost).Select(e => $"{e.Count} of {e.Job.Label}"))}{(lacking.Count > LackingToldAtMost ? $" and those of {lacking.Count - LackingToldAtMost} more evaluations" : "")}. They count as failed and are in no mean; the next run asks them again."
        : "";

    /// <summary>Which jobs failed and why; empty where none did.</summary>
    internal string AboutFailed => Data.Failed is { Count: > 0 } failed
        ? $"{failed.Count} {(failed.Count == 1 ? "job" : "jobs")} failed, and what needs them is missing: {string.Join("; ", failed.Take(LackingToldAtMost).Select(f => $"{f.Job.Label}: {Short(f.Error.Split('\n')[0])}"))}{(failed.Count > LackingToldAtMost ? $"; and {failed.Count - LackingToldAtMost} more" : "")}"
        : "";

    /// <summary>What stands in the place of results where there are none; else empty.</summary>
    internal string AboutNothing
    {
        get
        {
            if (Final.Any()) return "";
            var planned = Data.Jobs.Where(j => j.Kind == "evaluate").ToList();
            var (finished, ends) = (planned.Count(j => j.Outcome is not null), planned.Where(j => j.Axis("checkpoint").Length == 0).ToList());
            if (planned.Count == 0) return "No results: the plan has no evaluation.";
            if (ends.Count == 0) return $"No results of final policies: the plan evaluates only checkpoints ({finished} of {planned.Count} evaluations are finished).";
            // Metrics that are NaN are no numbers.
            if (ends.TrueForAll(j => j.Outcome is not null)) return "No results: all evaluations are finished, and none of their metrics is a number.";
            return $"No results yet, those of checkpoints aside: {finished} of {planned.Count} evaluations are finished.";
        }
    }

    internal IEnumerable<Estimate> Final => Estimates.Where(e => e.Checkpoint.Length == 0);

    internal IEnumerable<Estimate> FirstMetrics => Final.Where(e => e.IsFirst);

    internal IReadOnlyList<MergeRow> Merges => MergeRows.Of(this);

    /// <summary>Finished choices among a grid's variants.</summary>
    internal IReadOnlyList<SelectionRow> Selections =>
        [.. Data.Jobs.Where(j => j is { Kind: "select", Outcome: not null }).Select(j => RunText.Read(Data.Run.Job(j.Id), Data.Run.Job(j.Id).Result, () => Selection(j)))];

    private static SelectionRow Selection(RunJob job) => new(job.Policy, job.Axis("seed"), (string)job.Outcome!["by"]!, (string?)job.Outcome["mode"] == "max",
        [.. job.Outcome["variants"]!.AsArray().Select(v => ((string)v!["variant"]!, (double?)v["value"]))], (string)job.Outcome["variant"]!, (int)job.Outcome["tied"]!);

    internal IReadOnlyList<FactorRow> FactorRows => Factors.Of(Data);

    /// <summary>What another needs to repeat the run.</summary>
    internal Recipe Recipe => Recipe.Of(Data);

    /// <summary>Items on which where the run began (an untouched model, else its first policy) and the best trained policy differ most.</summary>
    internal IReadOnlyList<Example> Examples =>
        [.. FirstMetrics.GroupBy(e => e.Column).SelectMany(column =>
        {
            var before = column.FirstOrDefault(e => e.Kind == "untouched") ?? column.First();
            var best = column.Where(e => e.Kind == "trained").OrderByDescending(e => e.HigherIsBetter ? e.Value : -e.Value).FirstOrDefault();
            return best is null || best.Policy == before.Policy ? [] : Differing(before, best);
        })];

    // Of all samples only scores are held; the texts of those that are shown are read again.
    private IEnumerable<Example> Differing(Estimate before, Estimate best)
    {
        var (metric, filter) = (best.Source.Metric, best.Metric.Split(',') is [_, var by] ? by : "none");
        IEnumerable<Sample> Of(Estimate e) => SampleFiles.Read(Data.Run.Job(e.Job.Id), e.Source.Row).Where(sample => sample.Filter == filter && sample.Number(metric) is not null);
        var earlier = new Dictionary<string, double>();
        foreach (var sample in Of(before)) earlier[sample.Id] = sample.Number(metric)!.Value;
        var most = new List<(Sample Sample, double Before, double After)>();
        foreach (var sample in Of(best))
        {
            if (!earlier.TryGetValue(sample.Id, out var from) || sample.Number(metric) is not { } to || from == to) continue;
            // Of equal differences the first stays.
            var place = most.FindIndex(other => Math.Abs(to - from) > Math.Abs(other.After - other.Before)) is >= 0 and var at ? at : most.Count;
            if (place >= ExamplesAtMost) continue;
            most.Insert(place, (sample.Kept(), from, to));
            if (most.Count > ExamplesAtMost) most.RemoveAt(ExamplesAtMost);
        }
        var asked = most.Select(m => m.Sample.Id).ToHashSet();
        var answers = new Dictionary<string, string?>();
        if (asked.Count > 0)
            foreach (var sample in Of(before).Where(sample => asked.Contains(sample.Id))) answers[sample.Id] = sample.Answer;
        return most.Select(m => new Example(best.Benchmark, best.Metric, m.Sample.Id, TextOf(m.Sample), before.Policy, m.Before, best.Policy, m.After)
        {
            Answers = answers[m.Sample.Id] is { } a && m.Sample.Answer is { } b ? (Short(a), Short(b)) : null,
            Baseline = m.Sample.Text("output_1") is { } other ? Short(other) : null,
        });
    }

    // What was asked; the answer that is compared with stands apart.
    private static string TextOf(Sample sample)
    {
        if (sample.Text("instruction") is { } instruction) return Short(instruction);
        if (!sample.Json.TryGetProperty("doc", out var doc) || doc.ValueKind != JsonValueKind.Object) return "";
        return Short(string.Join("\n", doc.EnumerateObject().Where(p => p.Value.ValueKind == JsonValueKind.String).Select(p => $"{p.Name}: {p.Value.GetString()}").Distinct()));
    }

    // Half of a character would be shown as none.
    private static string Short(string text) => text.Length <= TextAtMost ? text : text[..(char.IsHighSurrogate(text[TextAtMost - 1]) ? TextAtMost - 1 : TextAtMost)] + " ...";

    /// <summary>Reads a run and tests its claims.</summary>
    /// <param name="data">The run.</param>
    /// <param name="claims">Text of the claims; null for none.</param>
    /// <param name="claimsName">What the manifest calls them.</param>
    internal static ReportModel Of(RunData data, string? claims, string claimsName)
    {
        IReadOnlyList<ClaimResult> results = [];
        if (claims is not null) results = ClaimSets.Test(ClaimFile.Parse(claims, claimsName), data.Observations, data.Pending, ClaimFile.Draws, ClaimFile.Alpha, seed: 0);
        var planned = data.PlannedEvaluations;
        return new ReportModel(data, [.. Reports.Estimates.Of(data.Reported).Select(e => e with { Annotator = data.AnnotatorName(e.Annotator), Planned = planned[(e.Policy, e.Benchmark)].Count() })], results, claimsName);
    }
}
