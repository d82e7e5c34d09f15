// Plots as SVG text: axes with round ticks, lines, points with intervals. Colours are classes, so that the page's style sheet can
// follow a dark screen or paper; every mark has a title that a pointer shows and a screen reader reads.

using System.Globalization;
using System.Net;
using System.Text;

namespace PeftAlign.Host.Reports;

/// <summary>Name: What the legend says. Points: X and Y.</summary>
internal sealed record Series(string Name, IReadOnlyList<(double X, double Y)> Points)
{
    /// <summary>Number of its colour; null = its place among the series.</summary>
    internal int? Colour { get; init; }

    /// <summary>Drawn thin behind the others and left out of the legend: one seed of several.</summary>
    internal bool Faint { get; init; }
}

/// <summary>Label: What stands beside it. Lower: Lower end of the interval; NaN where there is none. Class: Colour class.</summary>
internal sealed record Whisker(string Label, double Value, double Lower, double Upper, string Class);

internal static class Plot
{
    internal const int Colours = 8;
    private const double Left = 62, Right = 14, Top = 12, Bottom = 42;

    /// <summary>Lines over a common axis.</summary>
    internal static string Lines(IReadOnlyList<Series> series, string xLabel, string yLabel, bool points = false, bool log2 = false)
    {
        const double Width = 440, Height = 250;
        var all = series.SelectMany(s => s.Points).ToList();
        var (x, y) = (log2 ? Scale.Log2(all.Select(p => p.X), Left, Width - Right) : Scale.Of(all.Select(p => p.X), Left, Width - Right), Scale.Of(all.Select(p => p.Y), Height - Bottom, Top));
        var svg = Open(Width, Height, $"{yLabel} over {xLabel}");
        Axes(svg, x, y, xLabel, yLabel, Width, Height);
        foreach (var (s, k) in series.Select((s, k) => (s, (s.Colour ?? k) % Colours)).OrderBy(line => line.s.Faint ? 0 : 1))
        {
            svg.Append(CultureInfo.InvariantCulture, $"<polyline class=\"line c{k}{(s.Faint ? " faint" : "")}\" points=\"{string.Join(' ', s.Points.Select(p => $"{N(x.At(p.X))},{N(y.At(p.Y))}"))}\"><title>{Text(s.Name)}</title></polyline>");
            if (points)
                foreach (var p in s.Points) svg.Append($"<circle class=\"dot c{k}\" cx=\"{N(x.At(p.X))}\" cy=\"{N(y.At(p.Y))}\" r=\"3\"><title>{Text($"{s.Name}: {Short(p.X)}, {Short(p.Y)}")}</title></circle>");
        }
        return svg.Append("</svg>").ToString();
    }

    /// <summary>Named points in a plane with their intervals; a number stands at each, which the list beside the plot explains.</summary>
    internal static string Scatter(IReadOnlyList<(Whisker X, Whisker Y)> marks, string xLabel, string yLabel)
    {
        const double Width = 560, Height = 380;
        var x = Scale.Of(marks.SelectMany(m => Span(m.X)), Left, Width - Right);
        var y = Scale.Of(marks.SelectMany(m => Span(m.Y)), Height - Bottom, Top);
        var svg = Open(Width, Height, $"{yLabel} against {xLabel}");
        Axes(svg, x, y, xLabel, yLabel, Width, Height);
        foreach (var ((a, b), k) in marks.Select((m, k) => (m, k)))
        {
            var (px, py) = (x.At(a.Value), y.At(b.Value));
            if (double.IsFinite(a.Lower)) svg.Append($"<line class=\"whisker {a.Class}\" x1=\"{N(x.At(a.Lower))}\" x2=\"{N(x.At(a.Upper))}\" y1=\"{N(py)}\" y2=\"{N(py)}\"/>");
            if (double.IsFinite(b.Lower)) svg.Append($"<line class=\"whisker {a.Class}\" x1=\"{N(px)}\" x2=\"{N(px)}\" y1=\"{N(y.At(b.Lower))}\" y2=\"{N(y.At(b.Upper))}\"/>");
            svg.Append($"<circle class=\"dot {a.Class}\" cx=\"{N(px)}\" cy=\"{N(py)}\" r=\"8\"><title>{Text($"{a.Label}: {Short(a.Value)}, {Short(b.Value)}")}</title></circle>");
            svg.Append($"<text class=\"inside\" x=\"{N(px)}\" y=\"{N(py + 3.5)}\">{k + 1}</text>");
        }
        return svg.Append("</svg>").ToString();
    }

    /// <summary>Values with intervals, one below the other.</summary>
    internal static string Forest(IReadOnlyList<Whisker> rows, string label)
    {
        const double Width = 760, Step = 22, Names = 300;
        var height = (rows.Count * Step) + 34;
        var x = Scale.Of(rows.SelectMany(Span), Names, Width - 70);
        var svg = Open(Width, height, label);
        foreach (var tick in x.Ticks)
            svg.Append($"<line class=\"grid\" x1=\"{N(x.At(tick))}\" x2=\"{N(x.At(tick))}\" y1=\"4\" y2=\"{N(height - 20)}\"/><text class=\"tick middle\" x=\"{N(x.At(tick))}\" y=\"{N(height - 6)}\">{x.Text(tick)}</text>");
        foreach (var (row, k) in rows.Select((row, k) => (row, k)))
        {
            var y = 16 + (k * Step);
            svg.Append($"<text class=\"name\" x=\"{N(Names - 12)}\" y=\"{N(y + 4)}\">{Text(Cut(row.Label, 46))}<title>{Text(row.Label)}</title></text>");
            if (double.IsFinite(row.Lower)) svg.Append($"<line class=\"whisker {row.Class}\" x1=\"{N(x.At(row.Lower))}\" x2=\"{N(x.At(row.Upper))}\" y1=\"{N(y)}\" y2=\"{N(y)}\"/>");
            svg.Append($"<circle class=\"dot {row.Class}\" cx=\"{N(x.At(row.Value))}\" cy=\"{N(y)}\" r=\"4\"><title>{Text($"{row.Label}: {Short(row.Value)}")}</title></circle>");
            svg.Append($"<text class=\"tick\" x=\"{N(Width - 62)}\" y=\"{N(y + 4)}\">{Short(row.Value)}</text>");
        }
        return svg.Append("</svg>").ToString();
    }

    /// <summary>Shares of one, as bars.</summary>
    internal static string Bars(IReadOnlyList<(string Name, double Share, string Note)> bars, string label)
    {
        const double Width = 560, Step = 26, LeastNames = 110, Letter = 6.6;
        var names = bars.Select(bar => bar.Name.Length * Letter).Append(LeastNames).Max();
        var svg = Open(Width, (bars.Count * Step) + 8, label);
        foreach (var (bar, k) in bars.Select((bar, k) => (bar, k)))
        {
            var (y, length) = (6 + (k * Step), Math.Clamp(bar.Share, 0, 1) * (Width - names - 150));
            svg.Append($"<text class=\"name\" x=\"{N(names - 8)}\" y=\"{N(y + 13)}\">{Text(bar.Name)}</text><rect class=\"bar\" x=\"{N(names)}\" y=\"{N(y)}\" width=\"{N(Math.Max(length, 1))}\" height=\"17\"/><text class=\"tick\" x=\"{N(names + length + 6)}\" y=\"{N(y + 13)}\">{Text(bar.Note)}</text>");
        }
        return svg.Append("</svg>").ToString();
    }

    /// <summary>A number as tables show it.</summary>
    internal static string Short(double value) =>
        !double.IsFinite(value) ? "–"
        : value == 0 ? "0"
        : Math.Abs(value) is >= 0.0005 and < 10000 ? value.ToString(Math.Abs(value) >= 100 ? "0.0" : Math.Abs(value) >= 10 ? "0.00" : "0.000", CultureInfo.InvariantCulture).Replace('-', '−')
        : value.ToString("0.00e0", CultureInfo.InvariantCulture).Replace('-', '−');

    private static IEnumerable<double> Span(Whisker w) => double.IsFinite(w.Lower) ? [w.Value, w.Lower, w.Upper] : [w.Value];

    private static StringBuilder Open(double width, double height, string label) =>
        new($"<svg viewBox=\"0 0 {N(width)} {N(height)}\" width=\"{N(width)}\" role=\"img\" aria-label=\"{Text(label)}\">");

    private static void Axes(StringBuilder svg, Scale x, Scale y, string xLabel, string yLabel, double width, double height)
    {
        foreach (var tick in y.Ticks)
            svg.Append($"<line class=\"grid\" x1=\"{N(Left)}\" x2=\"{N(width - Right)}\" y1=\"{N(y.At(tick))}\" y2=\"{N(y.At(tick))}\"/><text class=\"tick end\" x=\"{N(Left - 6)}\" y=\"{N(y.At(tick) + 4)}\">{y.Text(tick)}</text>");
        foreach (var tick in x.Ticks)
            svg.Append($"<line class=\"grid\" x1=\"{N(x.At(tick))}\" x2=\"{N(x.At(tick))}\" y1=\"{N(Top)}\" y2=\"{N(height - Bottom)}\"/><text class=\"tick middle\" x=\"{N(x.At(tick))}\" y=\"{N(height - Bottom + 16)}\">{x.Text(tick)}</text>");
        svg.Append($"<text class=\"axis middle\" x=\"{N((Left + width - Right) / 2)}\" y=\"{N(height - 6)}\">{Text(xLabel)}</text>");
        svg.Append($"<text class=\"axis middle\" transform=\"translate(13 {N((Top + height - Bottom) / 2)}) rotate(-90)\">{Text(yLabel)}</text>");
    }

    internal static string Text(string text) => WebUtility.HtmlEncode(text);

    internal static string Cut(string text, int most) => text.Length <= most ? text : "…" + text[^(most - 1)..];

    private static string N(double value) => value.ToString("0.#", CultureInfo.InvariantCulture);
}

/// <summary>A linear axis with round ticks.</summary>
internal sealed record Scale(double Low, double High, double From, double To, IReadOnlyList<double> Ticks)
{
    private const int TicksWanted = 5;

    /// <summary>The axis that holds the values, a little wider than they are.</summary>
    internal static Scale Of(IEnumerable<double> values, double from, double to)
    {
        var finite = values.Where(double.IsFinite).DefaultIfEmpty(0).ToList();
        var (low, high) = (finite.Min(), finite.Max());
        if (high - low < 1e-12) (low, high) = (low - (0.5 * Math.Max(1e-3, Math.Abs(low) * 0.1)), high + (0.5 * Math.Max(1e-3, Math.Abs(high) * 0.1)));
        var room = 0.04 * (high - low);
        (low, high) = (low - room, high + room);
        var raw = (high - low) / TicksWanted;
        var power = Math.Pow(10, Math.Floor(Math.Log10(raw)));
        var step = new[] { 1, 2, 2.5, 5, 10 }.Select(m => m * power).First(s => s >= raw);
        var first = Math.Ceiling(low / step);
        return new Scale(low, high, from, to, [.. Enumerable.Range(0, TicksWanted + 2).Select(k => (first + k) * step).TakeWhile(tick => tick <= high)]);
    }

    /// <summary>The axis on which each doubling is a step of one length; its ticks are the values themselves where they are few, else
    /// powers of two. Values are above 0.</summary>
    internal static Scale Log2(IEnumerable<double> values, double from, double to)
    {
        const int Few = 10;
        const double Apart = 26;
        var known = values.Where(v => v > 0 && double.IsFinite(v)).Distinct().Order().DefaultIfEmpty(1).ToList();
        var exponents = Of(known.Select(Math.Log2), from, to);
        var scale = exponents with { IsLog = true };
        var wanted = known.Count <= Few ? known : Enumerable.Range((int)Math.Ceiling(exponents.Low), Math.Max(1, (int)(Math.Floor(exponents.High) - Math.Ceiling(exponents.Low)) + 1)).Select(e => Math.Pow(2, e));
        var ticks = new List<double>();
        foreach (var tick in wanted)
            if (ticks.Count == 0 || Math.Abs(scale.At(tick) - scale.At(ticks[^1])) >= Apart) ticks.Add(tick);
        return scale with { Ticks = ticks };
    }

    /// <summary>Low and High are exponents of two; ticks and values are not.</summary>
    internal bool IsLog { get; init; }

    internal double At(double value) => From + (((IsLog ? Math.Log2(value) : value) - Low) / (High - Low) * (To - From));

    internal string Text(double tick)
    {
        if (IsLog) return tick.ToString("0.##", CultureInfo.InvariantCulture);
        var digits = Ticks.Count > 1 ? Math.Clamp((int)Math.Ceiling(-Math.Log10((Ticks[1] - Ticks[0]) * 1.0001)) + (IsQuarter ? 1 : 0), 0, 6) : 3;
        return tick.ToString("0." + new string('#', digits), CultureInfo.InvariantCulture).Replace('-', '−');
    }

    private bool IsQuarter => Math.Round((Ticks[1] - Ticks[0]) / Math.Pow(10, Math.Floor(Math.Log10(Ticks[1] - Ticks[0]))), 3) == 2.5;
}
