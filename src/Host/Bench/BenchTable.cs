// The table of a run of bench: as lines, as JSON, and as a section of a Markdown file between two marks.

using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;

namespace PeftAlign.Host.Bench;

/// <summary>Rows, and what they were measured on.</summary>
/// <param name="Rows">In the order of the parts.</param>
/// <param name="Setting">Date, machine, versions, threads.</param>
internal sealed record BenchTable(IReadOnlyList<Measurement> Rows, string Setting)
{
    private const string Begin = "<!-- bench: written by `peftalign bench --write` -->", End = "<!-- /bench -->";

    internal IEnumerable<string> Lines =>
    [
        Setting, "",
        "| part | what | ours s, best to worst | peer s, best to worst | peer / ours | peak anonymous MB, ours and peer | |",
        "|---|---|---|---|---|---|---|",
        .. Rows.Select(Line),
    ];

    internal JsonObject Json => new()
    {
        ["setting"] = Setting,
        ["rows"] = new JsonArray([.. Rows.Select(row => (JsonNode)new JsonObject
        {
            ["part"] = row.Part, ["what"] = row.What, ["ours"] = Side(row.Ours), ["peer"] = row.Peer is { } peer ? Side(peer) : null, ["ratio"] = row.Ratio, ["note"] = row.Note,
        })]),
    };

    /// <summary>Puts the table between the marks of a file, or at its end where it has none.</summary>
    internal void Write(string file)
    {
        var text = File.Exists(file) ? File.ReadAllText(file) : "";
        var section = $"{Begin}\n{string.Join('\n', Lines)}\n{End}";
        var (first, last) = (text.IndexOf(Begin, StringComparison.Ordinal), text.IndexOf(End, StringComparison.Ordinal));
        if (first >= 0 && last < first) throw new UserErrorException($"{file} has the mark '{Begin}' without '{End}' behind it; put it back, or take both out.");
        AtomicFile.Write(file, first >= 0 ? text[..first] + section + text[(last + End.Length)..] : text.TrimEnd() + (text.Length > 0 ? "\n\n" : "") + section + "\n");
    }

    private static JsonObject Side(SideFigures side) => new() { ["seconds"] = new JsonArray([.. side.Seconds.Select(s => (JsonNode)Math.Round(s, 4))]), ["peak_anon_mb"] = Math.Round(side.PeakMegabytes, 1) };

    private static string Line(Measurement row)
    {
        var line = new StringBuilder($"| {row.Part} | {row.What} | {Span(row.Ours)} | {(row.Peer is { } peer ? Span(peer) : "")} | ");
        if (row.Ratio is { } ratio) line.Append(ratio.ToString("0.00", CultureInfo.InvariantCulture));
        line.Append(CultureInfo.InvariantCulture, $" | {row.Ours.PeakMegabytes:0}");
        if (row.Peer is not null) line.Append(CultureInfo.InvariantCulture, $" and {row.Peer.PeakMegabytes:0}");
        return line.Append($" | {row.Note} |").ToString();
    }

    private static string Span(SideFigures side) => string.Create(CultureInfo.InvariantCulture, $"{side.Best:0.000} to {side.Worst:0.000}");
}
