// Rows of a file that a training set is compared with: JSON lines, a JSON list, an object with one list (BIG-Bench Hard's `examples`), CSV or
// TSV; plain or gzip. What a row is for does not matter here, only its texts.

using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models.Rows;

namespace PeftAlign.Host.Auditing;

/// <param name="Place">For people: "line 3", "item 3".</param>
/// <param name="Texts">All that it says.</param>
internal sealed record BenchmarkRow(string Place, IEnumerable<string> Texts)
{
    /// <summary>The rows of a file, read as they are asked for.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="UserErrorException">It cannot be read, or has no rows; file and line are named.</exception>
    internal static IEnumerable<BenchmarkRow> Of(string path)
    {
        var name = path.EndsWith(".gz", StringComparison.OrdinalIgnoreCase) ? path[..^3] : path;
        return Path.GetExtension(name).ToLowerInvariant() switch
        {
            ".csv" => Table(path, ',', quotes: true),
            ".tsv" => Table(path, '\t', quotes: false), // what a quote hides in there is punctuation
            ".json" => Whole(path),
            _ => Lines(path, TextLines.Read(path)),
        };
    }

    private static IEnumerable<BenchmarkRow> Table(string path, char separator, bool quotes) =>
        DelimitedRows.OfFile(path, separator, quotes).Select(row => new BenchmarkRow($"line {row.Line}", row.Values));

    private static IEnumerable<BenchmarkRow> Lines(string path, IEnumerable<TextLine> lines) =>
        from line in lines
        where !string.IsNullOrWhiteSpace(line.Text)
        select new BenchmarkRow($"line {line.Number}", [.. RowTexts.Of(Parsed(line.Text, $"{path}, line {line.Number}", "write one JSON value per line, or name a list .json and a table .csv or .tsv"), null)]);

    // Many files of this name hold JSON lines.
    private static IEnumerable<BenchmarkRow> Whole(string path)
    {
        List<TextLine> lines = [.. TextLines.Read(path)];
        var filled = lines.Where(line => !string.IsNullOrWhiteSpace(line.Text)).Take(2).ToList();
        if (filled.Count == 2 && filled.All(line => IsObject(line.Text))) return Lines(path, lines);
        var whole = Parsed(string.Join('\n', lines.Select(line => line.Text)), path, "mend or remove it");
        var items = whole as JsonArray ?? (whole as JsonObject)?.Select(field => field.Value).OfType<JsonArray>().ToList() switch { [var only] when only.All(item => item is JsonObject) => only, _ => [whole] };
        return items.Select((item, k) => new BenchmarkRow($"item {k + 1}", [.. RowTexts.Of(item, null)]));
    }

    private static bool IsObject(string text)
    {
        try
        {
            return RowJson.Parse(text) is JsonObject;
        }
        catch (JsonException)
        {
            return false;
        }
    }

    private static JsonNode? Parsed(string text, string place, string remedy)
    {
        try
        {
            return RowJson.Parse(text);
        }
        catch (JsonException e)
        {
            throw new UserErrorException($"{place}: not valid JSON ({RowJson.Cause(e)}); {remedy}.", e);
        }
    }
}
