// The numbers behind the report's conclusions: curves over data and training, merges, factors, examples, costs.

namespace PeftAlign.Host.Reports;

internal sealed partial class HtmlReport
{
    private void Quantity()
    {
        var points = model.Estimates.Where(e => e.IsFirst && RunData.Step(e.Checkpoint) is not null).ToList();
        if (points.Count == 0) return;
        Section("How much data is enough", "Each line is a policy along its training: benchmarks at kept checkpoints, over optimiser steps; each doubling of the steps takes the same room.");
        foreach (var column in points.GroupBy(e => e.Column))
            Lines([.. column.GroupBy(e => e.Configuration).Select(g => new Series(g.Key, [.. g.Select(e => (RunData.Step(e.Checkpoint)!.Value, e.Value)).OrderBy(p => p.Item1)]))], "optimiser steps", column.Key, points: true, log2: true);
    }

    private void Lines(IReadOnlyList<Series> series, string x, string y, bool points = false, bool log2 = false)
    {
        var legend = series.Where(s => !s.Faint).ToList();
        foreach (var names in legend.Chunk(Plot.Colours))
        {
            // Seeds go with the mean that they belong to.
            var part = names.Select((s, k) => s with { Colour = k }).SelectMany(s => series.Where(f => f.Faint && f.Name == s.Name).Select(f => f with { Colour = s.Colour }).Append(s)).ToList();
            page.Append($"<figure>{Plot.Lines(part, x, y, points: points, log2: log2)}<figcaption class=\"legend\">{string.Concat(names.Select((s, k) => Key($"c{k}", s.Name)))}</figcaption></figure>");
        }
    }

    private void Merges()
    {
        if (model.Merges is not { Count: > 0 } rows) return;
        Section("Merges against their parents", "A merge that is better than the mean of its parents keeps something of both; one that beats the best is worth its name. Differences are signed so that + is better.");
        page.Append("<table><thead><tr><th>Merge</th><th>Metric</th><th class=\"r\">Merge</th><th>Parents</th><th class=\"r\">against the mean</th><th class=\"r\">against the best</th></tr></thead><tbody>");
        foreach (var row in rows)
        {
            var sign = row.HigherIsBetter ? 1 : -1;
            page.Append($"<tr><td class=\"merged\">{T(row.Merge)}</td><td>{T(row.Column)}</td><td class=\"r\">{S(row.Value)}</td><td>{string.Join("<br>", row.Parents.Select(p => $"{T(p.Policy)} {S(p.Value)}"))}</td><td class=\"r\">{Signed(sign * row.AgainstMean)}</td><td class=\"r\">{Signed(sign * row.AgainstBest)}</td></tr>");
        }
        page.Append("</tbody></table>");
    }

    private void Selections()
    {
        if (model.Selections is not { Count: > 0 } rows) return;
        Section("Choices among the variants of grids", "Each variant was trained; the one with the best metric stands for the grid in all that follows.");
        page.Append("<table><thead><tr><th>Policy</th><th>Kept</th><th>By</th><th>Variants</th></tr></thead><tbody>");
        foreach (var row in rows)
            page.Append($"<tr><td class=\"trained\">{T(row.Policy)} <small>seed {T(row.Seed)}</small></td><td><b>{T(row.Chosen)}</b>{(row.Tied > 1 ? $" <small>{row.Tied} tied; it trains the fewest numbers</small>" : "")}</td><td>{(row.Largest ? "largest" : "smallest")} {T(row.By)}</td><td>{string.Join("<br>", row.Variants.Select(v => $"{T(v.Variant)} {(v.Value is { } value ? S(value) : "not finite")}"))}</td></tr>");
        page.Append("</tbody></table>");
    }

    private void Factors()
    {
        if (model.FactorRows is not { Count: > 0 } rows) return;
        Section("Which factor matters", "Share of the variance among trained policies that each factor explains beside the others (analysis of variance, type II, main effects). Factors that divide the policies alike stand as one (method = adapter); what only several together explain is a part of its own.");
        foreach (var row in rows)
            page.Append(row.Why.Length > 0 ? $"<p><b>{T(row.Column)}</b>: {T(row.Why)}.</p>"
                : $"<figure><figcaption>{T(row.Column)} <small>n = {row.Policies} policies{(row.Note.Length > 0 ? $"; {T(row.Note)}" : "")}</small></figcaption>{Plot.Bars([.. row.Shares.Select(s => (s.Factor, s.Share, $"{100 * s.Share:0.0} %{(double.IsNaN(s.P) ? "" : $", p {P(s.P)}")}"))], row.Column)}</figure>");
    }

    private void Examples()
    {
        if (model.Examples is not { Count: > 0 } examples) return;
        Section("Examples", "Items on which where the run began (an untouched model, else its first policy) and the best trained policy differ most.");
        var numbers = examples.Where(e => e.Answers is null).ToList();
        if (numbers.Count > 0)
        {
            page.Append("<table><thead><tr><th>Item</th><th>Says</th><th class=\"r\">Before</th><th class=\"r\">Best trained</th></tr></thead><tbody>");
            foreach (var e in numbers)
                page.Append($"<tr><td>{T(e.Item)}</td><td class=\"text\">{T(e.Text)}</td><td class=\"r\">{S(e.Before)}<br><small>{T(e.BeforePolicy)}</small></td><td class=\"r\">{S(e.After)}<br><small>{T(e.AfterPolicy)}</small></td></tr>");
            page.Append("</tbody></table>");
        }
        foreach (var e in examples.Where(e => e.Answers is not null)) Answers(e);
    }

    // Answers side by side, as a judge had them before it.
    private void Answers(Example e)
    {
        var (before, after) = e.Answers!.Value;
        string Cell(string who, string said, string score) => $"<td class=\"text\"><small>{T(who)}{score}</small>\n{(said.Length > 0 ? T(said) : "<i>(nothing)</i>")}</td>";
        page.Append($"<table class=\"pair\"><thead><tr><th colspan=\"{(e.Baseline is null ? 2 : 3)}\"><small>{T(e.Item)}, {T(e.Metric)}</small><div class=\"text\">{T(e.Text)}</div></th></tr></thead><tbody><tr>");
        if (e.Baseline is { } other) page.Append(Cell("compared with", other, ""));
        page.Append(Cell(e.BeforePolicy, before, $": {S(e.Before)}")).Append(Cell(e.AfterPolicy, after, $": {S(e.After)}"));
        page.Append("</tr></tbody></table>");
    }

    private void Training()
    {
        var trainings = model.Data.Jobs.Where(j => j.Kind == "train").ToList();
        if (trainings.Count == 0) return;
        Section("Training curves", "Loss over optimiser steps, how often the chosen answer gets the higher reward where the method has rewards, and how many of the answers' tokens are the likeliest of the vocabulary. Thin lines are seeds.");
        foreach (var (metric, label) in ((string, string)[])[("loss", "loss"), ("rewards/accuracies", "reward accuracy"), ("mean_token_accuracy", "token accuracy")])
            foreach (var method in trainings.GroupBy(j => j.Axis("method")))
            {
                var series = method.GroupBy(j => j.Policy).SelectMany(policy => Seeds(policy.Key, [.. policy.Select(j => Thin(model.Data.Curve(j, metric))).Where(c => c.Count > 1)])).ToList();
                if (series.Count > 0) Lines(series, "step", $"{label} ({method.Key})");
            }
    }

    // Several seeds are thin lines around their mean, taken where all of them have a point.
    private static IEnumerable<Series> Seeds(string policy, IReadOnlyList<IReadOnlyList<(double X, double Y)>> curves)
    {
        if (curves.Count == 0) return [];
        if (curves.Count == 1) return [new Series(policy, curves[0])];
        var mean = curves.SelectMany(c => c).GroupBy(p => p.X).Where(g => g.Count() == curves.Count).OrderBy(g => g.Key).Select(g => (g.Key, g.Average(p => p.Y))).ToList();
        var name = $"{policy}, mean of {curves.Count} seeds";
        return [.. curves.Select(c => new Series(name, c) { Faint = true }), new Series(name, mean)];
    }

    // A mean of each stretch: a plot has no more points than pixels.
    private static IReadOnlyList<(double X, double Y)> Thin(IReadOnlyList<(double X, double Y)> points) =>
        points.Count <= PointsAtMost ? points : [.. points.Chunk((points.Count + PointsAtMost - 1) / PointsAtMost).Select(part => (part.Average(p => p.X), part.Average(p => p.Y)))];

    private void Costs()
    {
        Section("Costs and times", "Wall-clock time and peak memory of the jobs' processes on the machine that ran them.");
        page.Append("<table><thead><tr><th>Job</th><th class=\"r\">Jobs</th><th class=\"r\">Time</th><th class=\"r\">Longest</th><th class=\"r\">Peak memory</th></tr></thead><tbody>");
        foreach (var kind in model.Data.Jobs.Where(j => j.Seconds is not null).GroupBy(j => j.Kind))
            page.Append($"<tr><td>{T(kind.Key)}</td><td class=\"r\">{kind.Count()}</td><td class=\"r\">{Time(kind.Sum(j => j.Seconds!.Value))}</td><td class=\"r\">{Time(kind.Max(j => j.Seconds!.Value))}</td><td class=\"r\">{(kind.Max(j => j.PeakBytes) is { } bytes ? $"{bytes / 1048576.0:0} MiB" : "–")}</td></tr>");
        page.Append("</tbody></table>");
        if (model.Data.Judges is not { Count: > 0 } bills) return;
        page.Append("<table><thead><tr><th>Judge</th><th class=\"r\">Questions</th><th class=\"r\">Failures</th><th class=\"r\">Requests</th><th class=\"r\">From the cache</th><th class=\"r\">Retries</th><th class=\"r\">Tokens in, out</th><th class=\"r\">Price</th><th class=\"r\">Time</th></tr></thead><tbody>");
        foreach (var b in bills)
            page.Append($"<tr><td>{T(b.Annotator)}{(b.Transcript.Length > 0 ? $"<br><small>replies in {T(b.Transcript)}</small>" : "")}</td><td class=\"r\">{b.Questions}</td><td class=\"r\">{b.Failures}</td><td class=\"r\">{b.Requests?.ToString() ?? "–"}</td><td class=\"r\">{b.FromCache?.ToString() ?? "–"}</td><td class=\"r\">{b.Retries?.ToString() ?? "–"}</td><td class=\"r\">{(b.Requests is null ? "–" : $"{b.PromptTokens}, {b.CompletionTokens}")}</td><td class=\"r\">{(b.Price > 0 ? S(b.Price) : "–")}</td><td class=\"r\">{Time(b.Seconds)}</td></tr>");
        page.Append("</tbody></table>");
    }

    private static string Time(double seconds) => seconds < 60 ? $"{seconds:0.0} s" : seconds < 3600 ? $"{(int)seconds / 60} min {(int)seconds % 60} s" : $"{(int)seconds / 3600} h {(int)seconds % 3600 / 60} min";
}
