// The report as one HTML file that needs nothing beside it: no script, no font, no address. Order: what follows from the run, then the
// numbers behind it.

using System.Text;

namespace PeftAlign.Host.Reports;

internal sealed partial class HtmlReport(ReportModel model)
{
    private const int PointsAtMost = 200, ColumnsAtMost = 5;
    private static readonly string[] Harmlessness = ["real_toxicity", "red_instruct", "toxicity", "asr", "harmless"];
    private readonly StringBuilder page = new();

    internal static string Render(ReportModel model) => new HtmlReport(model).Render();

    private string Render()
    {
        var (done, all) = (model.Data.Jobs.Count(j => j.Outcome is not null), model.Data.Jobs.Count);
        page.Append($"<h1>{T(model.Data.Name)}</h1><p class=\"lead\">{done} of {all} jobs are finished; {model.FirstMetrics.Count()} results of {model.FirstMetrics.Select(e => e.Policy).Distinct().Count()} policies. Intervals are 95 % where no other level is said.</p>");
        if (done < all) page.Append($"<p class=\"warn\">{all - done} jobs are not finished; what is missing is not in this report.</p>");
        if (model.AboutFailed.Length > 0) page.Append($"<p class=\"warn\">{T(model.AboutFailed)}</p>");
        if (model.AboutUnanswered.Length > 0) page.Append($"<p class=\"warn\">{T(model.AboutUnanswered)}</p>");
        Claims();
        Results();
        TradeOff();
        Settings();
        Quantity();
        Merges();
        Selections();
        Factors();
        Examples();
        Training();
        WhatWasRun();
        Costs();
        return PageStyle.Around(model.Data.Name, page.ToString());
    }

    private void Section(string title, string explanation) => page.Append($"<h2>{T(title)}</h2><p class=\"note\">{explanation}</p>");

    private void Claims()
    {
        if (model.Claims.Count == 0) return;
        var counts = model.Claims.GroupBy(c => c.Verdict).ToDictionary(g => g.Key, g => g.Count());
        Section("Claims", $"Set <b>{T(model.ClaimsName)}</b>: {counts.GetValueOrDefault("supported")} supported, {counts.GetValueOrDefault("contradicted")} contradicted, {counts.GetValueOrDefault("inconclusive")} inconclusive. A verdict needs an interval on one side of the number and a p-value of at most 0.05 after Holm's correction for all {model.Claims.Count(c => !double.IsNaN(c.AdjustedP))} tests.");
        page.Append("<table class=\"claims\"><thead><tr><th>Claim</th><th>Verdict</th><th class=\"r\">Estimate</th><th class=\"r\">Interval</th><th class=\"r\">p (Holm)</th><th>Checked as</th></tr></thead><tbody>");
        foreach (var c in model.Claims)
        {
            var interval = double.IsNaN(c.Lower) ? "–" : $"[{S(c.Lower)}, {S(c.Upper)}]{(ReportModel.OtherLevel(c) is { Length: > 0 } level ? $" <small>{level}</small>" : "")}";
            var units = c.Units.Count > 1 ? $" {c.Positive} of {c.Units.Count} units above." : "";
            var drawn = c.Drawn.Count > 0 ? $" Resampled: {string.Join(", ", c.Drawn)}." : "";
            var method = c.Method.Length > 0 ? $" Interval: {T(c.Method)}." : "";
            page.Append($"<tr><td><b>{T(c.Id)}</b> {T(c.Says)}</td><td><span class=\"verdict {c.Verdict}\">{c.Verdict}</span>{(c.Reason.Length > 0 ? $"<br><small>{T(c.Reason)}</small>" : "")}</td><td class=\"r\">{S(c.Estimate)}</td><td class=\"r nowrap\">{interval}</td><td class=\"r\">{T(P(c.AdjustedP))}</td><td><small>{T(c.Metric)}: {T(c.Statement)}.{units}{drawn}{method}</small></td></tr>");
        }
        page.Append("</tbody></table>");
    }

    private void Results()
    {
        if (model.AboutNothing.Length > 0) page.Append($"<p class=\"note\">{model.AboutNothing}</p>");
        if (!model.Final.Any()) return;
        Section("Results", $"Rows are policies (means over seeds), columns each benchmark's first number; the best of each column is bold. A policy whose interval holds the best value may be as good. {Estimate.AboutOneTraining(model.Final)} {model.AboutTwins}".TrimEnd());
        Table(model.Final, [.. model.FirstMetrics.GroupBy(e => e.Column)]);
        foreach (var column in model.FirstMetrics.GroupBy(e => e.Column))
            page.Append($"<figure class=\"forest\">{Plot.Forest([.. column.Select(e => new Whisker(e.Policy, e.Value, e.Interval.Lower, e.Interval.Upper, Colour(e.Kind)))], column.Key)}<figcaption class=\"legend\"><b>{T(column.Key)}</b>, {(column.First().HigherIsBetter ? "higher" : "lower")} is better; {T(Estimate.Circumstances(column))}; {T(Methods(column))}</figcaption></figure>");
        page.Append($"<p class=\"legend\">{Key("c1", "untouched")}{Key("c0", "trained")}{Key("c2", "merged")}</p>");
        foreach (var benchmark in model.Final.GroupBy(e => e.Benchmark).Where(g => g.Any(e => !e.IsFirst)))
        {
            var said = Estimate.Circumstances(benchmark.GroupBy(e => e.Column).First());
            page.Append($"<h3>All numbers of {T(benchmark.Key)}</h3><p class=\"note\">{T(said)}</p>");
            foreach (var part in benchmark.GroupBy(e => e.Column).Chunk(ColumnsAtMost)) Table(benchmark, part, said);
        }
    }

    // Of one benchmark what stands above the table is not said again, but where a column differs.
    private void Table(IEnumerable<Estimate> estimates, IReadOnlyList<IGrouping<string, Estimate>> columns, string said = "")
    {
        var best = columns.ToDictionary(c => c.Key, c => c.First().HasBest ? Best([.. c]) : double.NaN);
        var uneven = columns.Where(c => c.Select(e => e.Items).Distinct().Count() > 1).Select(c => c.Key).ToHashSet();
        page.Append($"<div class=\"wide\"><table{(said.Length > 0 ? " class=\"dense\"" : "")}><thead><tr><th>Policy</th>{string.Concat(columns.Select(c => $"<th class=\"r\">{T(said.Length > 0 ? c.First().Metric : c.Key)}{(Estimate.Circumstances(c) == said ? "" : $"<br><small>{T(Estimate.Circumstances(c))}</small>")}</th>"))}</tr></thead><tbody>");
        foreach (var policy in estimates.GroupBy(e => e.Policy))
        {
            page.Append($"<tr><td class=\"{policy.First().Kind}\">{T(policy.Key)}{(Math.Max(policy.First().Seeds, policy.First().Planned) > 1 ? $" <small>{policy.First().SeedsOf} seeds</small>" : "")}</td>");
            foreach (var column in columns) page.Append(policy.FirstOrDefault(e => e.Column == column.Key) is { } e ? Cell(e, best[column.Key], policy.First().SeedsOf, uneven.Contains(column.Key)) : "<td class=\"r\">–</td>");
            page.Append("</tr>");
        }
        page.Append("</tbody></table></div>");
    }

    private static string Methods(IEnumerable<Estimate> column) => string.Join(", ", column.Select(e => e.Method).Where(m => m.Length > 0).Distinct()) is { Length: > 0 } methods ? $"intervals: {methods}" : "no intervals";

    // Beside the number what differs from the rest of its row or column: on how many seeds or items it stands.
    private static string Cell(Estimate e, double best, string seeds, bool isUneven)
    {
        var interval = double.IsNaN(e.Interval.Lower) ? "" : $"<br><small>[{S(e.Interval.Lower)}, {S(e.Interval.Upper)}]</small>";
        var own = (e.SeedsOf == seeds ? "" : $"<br><small>{e.SeedsOf} {(e.SeedsOf == "1" ? "seed" : "seeds")}</small>") + (isUneven ? $"<br><small>n = {e.Items}</small>" : "");
        return $"<td class=\"r\">{(e.Value == best ? $"<b>{S(e.Value)}</b>" : S(e.Value))}{interval}{own}</td>";
    }

    private static double Best(IReadOnlyList<Estimate> column) => column[0].HigherIsBetter ? column.Max(e => e.Value) : column.Min(e => e.Value);

    private void TradeOff()
    {
        var firsts = model.FirstMetrics.GroupBy(e => e.Column).ToList();
        var harmless = firsts.FirstOrDefault(g => Harmlessness.Any(name => g.First().Benchmark.Contains(name, StringComparison.Ordinal)));
        var helpful = firsts.FirstOrDefault(g => g.First().Benchmark.Contains("helpful", StringComparison.Ordinal)) ?? firsts.FirstOrDefault(g => g.Key != harmless?.Key);
        var (x, y, title) = harmless is not null && helpful is not null ? (helpful, harmless, "Helpfulness against harmlessness")
            : firsts.Count > 1 ? (firsts[0], firsts[1], "One benchmark against another") : (null, null, "");
        if (x is null || y is null) return;
        var marks = x.Join(y, e => e.Policy, e => e.Policy, (a, b) => (A: a, B: b)).ToList();
        if (marks.Count < 2) return;
        Section(title, $"Each point is a policy; up is {(y.First().HigherIsBetter ? "better" : "worse")}, right is {(x.First().HigherIsBetter ? "better" : "worse")}.");
        page.Append($"<figure class=\"side\">{Plot.Scatter([.. marks.Select(m => (Mark(m.A), Mark(m.B)))], x.Key, y.Key)}<ol>{string.Concat(marks.Select(m => $"<li>{T(m.A.Policy)}</li>"))}</ol></figure>");
    }

    private static Whisker Mark(Estimate e) => new(e.Policy, e.Value, e.Interval.Lower, e.Interval.Upper, Colour(e.Kind));

    private static string Colour(string kind) => kind switch { "untouched" => "c1", "merged" => "c2", _ => "c0" };

    private static string Key(string colour, string name) => $"<span class=\"key\"><i class=\"{colour}\"></i>{T(name)}</span>";

    private static string Signed(double value) => (value > 0 ? "+" : "") + S(value);

    private static string S(double value) => Plot.Short(value);

    private static string P(double p) => double.IsNaN(p) ? "–" : p < 0.001 ? "< 0.001" : p.ToString("0.000", System.Globalization.CultureInfo.InvariantCulture);

    private static string T(string text) => Plot.Text(text);
}
