// The report as Markdown, for pull requests and notes: verdicts, results, merges, costs.

using System.Text;
using PeftAlign.Core.Claims;

namespace PeftAlign.Host.Reports;

internal static class MarkdownReport
{
    internal static string Render(ReportModel model)
    {
        var text = new StringBuilder($"# {Text(model.Data.Name)}\n\n{model.Data.Jobs.Count(j => j.Outcome is not null)} of {model.Data.Jobs.Count} jobs are finished. Intervals are 95 % where no other level is said. {Estimate.AboutOneTraining(model.Final)}".TrimEnd() + "\n");
        if (model.AboutFailed.Length > 0) text.Append($"\n**{Text(model.AboutFailed)}**\n");
        if (model.AboutUnanswered.Length > 0) text.Append($"\n**{Text(model.AboutUnanswered)}**\n");
        if (model.Claims.Count > 0)
            Table(text, $"Claims ({model.ClaimsName})", ["claim", "verdict", "estimate", "interval", "p (Holm)", "checked as"], model.Claims.Select(c => new[]
            {
                $"**{c.Id}** {c.Says}", c.Verdict + (c.Reason.Length > 0 ? $" ({c.Reason})" : ""), Plot.Short(c.Estimate), Interval(c), Plot.Short(c.AdjustedP), $"{c.Metric}: {c.Statement}{(c.Method.Length > 0 ? $"; interval: {c.Method}" : "")}",
            }));
        var columns = model.Final.Select(e => e.Column).Distinct().ToList();
        var said = model.Final.GroupBy(e => e.Column).ToDictionary(g => g.Key, Estimate.Circumstances);
        if (columns.Count == 0) text.Append($"\n{model.AboutNothing}\n");
        else Table(text, "Results", ["policy", "seeds", .. columns.Select(c => $"{c} ({said[c]})")], model.Final.GroupBy(e => e.Policy).Select(policy => (string[])
            [policy.Key, string.Join(" or ", policy.Select(e => e.SeedsOf).Distinct()), .. columns.Select(c => policy.FirstOrDefault(e => e.Column == c) is { } e ? $"{Plot.Short(e.Value)} {Interval(e.Interval.Lower, e.Interval.Upper)}" : "–")]));
        foreach (var how in model.Final.Where(e => e.Method.Length > 0).GroupBy(e => e.Method)) text.Append($"\nIntervals, {Text(how.Key)}: {Text(string.Join(", ", how.Select(e => e.Column).Distinct()))}.\n");
        if (model.Final.Where(e => e is { HasBest: true, HigherIsBetter: false }).Select(e => e.Column).Distinct().ToList() is { Count: > 0 } least) text.Append($"\nLower is better: {Text(string.Join(", ", least))}.\n");
        if (model.AboutTwins.Length > 0) text.Append($"\n{model.AboutTwins}\n");
        if (model.Merges.Count > 0)
            Table(text, "Merges against their parents", ["merge", "metric", "number", "mean of parents", "best parent"], model.Merges.Select(m => new[]
            {
                m.Merge, m.Column, Plot.Short(m.Value), Plot.Short(m.Parents.Average(p => p.Value)), Plot.Short(m.Value - m.AgainstBest),
            }));
        if (model.Selections is { Count: > 0 } selections)
            Table(text, "Choices among the variants of grids", ["policy", "seed", "by", "kept", "variants"], selections.Select(s => new[]
            {
                s.Policy, s.Seed, $"{(s.Largest ? "largest" : "smallest")} {s.By}", s.Chosen + (s.Tied > 1 ? $" ({s.Tied} tied)" : ""), string.Join(", ", s.Variants.Select(v => $"{v.Variant} {(v.Value is { } value ? Plot.Short(value) : "–")}")),
            }));
        if (model.FactorRows.Count > 0)
            Table(text, "Which factor matters", ["metric", "policies", "share of the variance"], model.FactorRows.Select(f => new[]
            {
                f.Column, $"{f.Policies}", f.Why.Length > 0 ? f.Why : string.Join(", ", f.Shares.Select(s => $"{s.Factor} {Plot.Short(100 * s.Share)} %{(double.IsNaN(s.P) ? "" : $" (p {Plot.Short(s.P)})")}")) + (f.Note.Length > 0 ? $"; {f.Note}" : ""),
            }));
        WhatWasRun(text, model.Recipe);
        Table(text, "Costs", ["kind", "jobs", "seconds"], model.Data.Jobs.Where(j => j.Seconds is not null).GroupBy(j => j.Kind).Select(k => new[] { k.Key, $"{k.Count()}", Plot.Short(k.Sum(j => j.Seconds!.Value)) }));
        if (model.Data.Judges is { Count: > 0 } bills)
            Table(text, "Judges", ["judge", "questions", "failures", "requests", "from the cache", "retries", "price", "seconds"], bills.Select(b => new[]
            {
                b.Annotator, $"{b.Questions}", $"{b.Failures}", $"{b.Requests?.ToString() ?? "–"}", $"{b.FromCache?.ToString() ?? "–"}", $"{b.Retries?.ToString() ?? "–"}", b.Price > 0 ? Plot.Short(b.Price) : "–", Plot.Short(b.Seconds),
            }));
        return text.ToString();
    }

    private static void WhatWasRun(StringBuilder text, Recipe recipe)
    {
        string Settings(IReadOnlyDictionary<string, string> settings) => string.Join("; ", settings.Select(s => $"{s.Key} {s.Value}"));
        foreach (var part in recipe.Parts)
        {
            var counted = part.Counted;
            Table(text, $"What was run: {part.Kind}", ["name", "seeds", "settings", .. counted], part.Rows.Select(row => (string[])[row.Name, string.Join(", ", row.Seeds), Settings(row.Settings), .. counted.Select(name => row.Counts.GetValueOrDefault(name, "–"))]));
            if (part.Shared.Count > 0) text.Append($"\nAll: {Text(Settings(part.Shared))}.\n");
        }
        if (recipe.Inputs.Count > 0) Table(text, "Read from", ["path", "SHA-256"], recipe.Inputs.Select(i => new[] { i.Path, i.Sha256 }));
        if (recipe.Versions.Count > 0) Table(text, "Made with", ["part", "version, or hash of the files"], recipe.Versions.Select(v => new[] { v.Part, v.Version }));
        if (recipe.MadeOn.Length > 0) text.Append($"\n{Text(recipe.MadeOn)}\n");
    }

    /// <summary>One line a verdict, for the end of a run.</summary>
    internal static IEnumerable<string> Verdicts(ReportModel model) =>
        model.Claims.Select(c => $"{c.Id} {c.Verdict}: {c.Says} {Plot.Short(c.Estimate)} {Interval(c)}{(c.Reason.Length > 0 ? $", {c.Reason}" : "")}");

    private static string Interval(ClaimResult c) => double.IsNaN(c.Lower) ? "" : $"{Interval(c.Lower, c.Upper)} {ReportModel.OtherLevel(c)}".TrimEnd();

    private static string Interval(double lower, double upper) => double.IsNaN(lower) ? "" : $"[{Plot.Short(lower)}, {Plot.Short(upper)}]";

    private static void Table(StringBuilder text, string title, IReadOnlyList<string> head, IEnumerable<string[]> rows)
    {
        text.Append($"\n## {Text(title)}\n\n| {string.Join(" | ", head.Select(Cell))} |\n|{string.Concat(head.Select(_ => "---|"))}\n");
        foreach (var row in rows) text.Append($"| {string.Join(" | ", row.Select(Cell))} |\n");
    }

    // A stroke would end the cell.
    private static string Cell(string text) => Text(text).Replace("|", "\\|", StringComparison.Ordinal).Replace('\n', ' ').Trim();

    // What begins with < is HTML to Markdown, and would not be seen.
    private static string Text(string text) => text.Replace("<", "&lt;", StringComparison.Ordinal);
}
