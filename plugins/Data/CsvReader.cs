// Comma-separated values (RFC 4180), plain or gzipped: the first line names the columns, every value is a text; a quoted value may
// hold separators, line ends and doubled quotes. Errors name file and line.

using System.Text;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models.Rows;

namespace PeftAlign.Data;

/// <summary>Options of csv.</summary>
public sealed class CsvOptions
{
    /// <summary>The file, .csv or .csv.gz.</summary>
    [OptionNames("path")]
    public string? Path { get; set; }

    /// <summary>What stands between values.</summary>
    [OptionChoices("comma", "semicolon", "tab")]
    public string Separator { get; set; } = "comma";
}

internal sealed class CsvReader(CsvOptions options) : IDatasetReader
{
    private readonly char separator = options.Separator switch { "semicolon" => ';', "tab" => '\t', _ => ',' };

    public IEnumerable<DataRecord> Read(string? split)
    {
        if (split is not null) throw new UserErrorException($"Reader csv has no splits; leave 'split' ({split}) out and name the file.");
        if (options.Path is not { } path) throw new UserErrorException("Reader csv needs 'path', a .csv or .csv.gz file.");
        if (!File.Exists(path)) throw new UserErrorException($"There is no file '{path}'; reader csv needs a .csv or .csv.gz file.");
        return Rows(path);
    }

    private IEnumerable<DataRecord> Rows(string path)
    {
        using var lines = TextLines.Read(path).GetEnumerator();
        var names = Next(lines, path, out _) ?? throw new UserErrorException($"{path}: the file is empty; its first line must name the columns.");
        if (names.GroupBy(n => n).FirstOrDefault(g => g.Count() > 1) is { } twice) throw new UserErrorException($"{path}, line 1: two columns are called '{twice.Key}'.");
        var row = 0L;
        while (Next(lines, path, out var start) is { } values)
        {
            if (values is [""]) continue; // a blank line
            if (values.Count != names.Count) throw new UserErrorException($"{path}, line {start}: {values.Count} values, but line 1 names {names.Count} columns; quote values that hold the separator ({options.Separator}).");
            yield return new DataRecord(new JsonObject(names.Zip(values, (name, value) => KeyValuePair.Create(name, (JsonNode?)value))), System.IO.Path.GetFileName(path), ++row) { Line = start };
        }
    }

    // One record and the line where it starts; null at the end of the file. A line end inside quotes belongs to the value, as \n.
    private List<string>? Next(IEnumerator<TextLine> lines, string path, out long start)
    {
        start = 0;
        if (!lines.MoveNext()) return null;
        start = lines.Current.Number;
        var (values, value, quoted) = (new List<string>(), new StringBuilder(), false);
        while (true)
        {
            quoted = Take(lines.Current.Text, values, value, quoted);
            if (!quoted) break;
            if (!lines.MoveNext()) throw new UserErrorException($"{path}, line {start}: a quoted value is not closed before the end of the file.");
            value.Append('\n');
        }
        values.Add(value.ToString());
        return values;
    }

    // A line's values; of the last one, what stands here. Whether that goes on in the next line.
    private bool Take(string line, List<string> values, StringBuilder value, bool quoted)
    {
        for (var k = 0; k < line.Length; k++)
        {
            var next = line[k];
            if (quoted && next == '"')
            {
                quoted = k + 1 < line.Length && line[k + 1] == '"';
                if (quoted) value.Append(line[k++]);
            }
            else if (!quoted && next == '"' && value.Length == 0) quoted = true;
            else if (!quoted && next == separator)
            {
                values.Add(value.ToString());
                value.Clear();
            }
            else value.Append(next);
        }
        return quoted;
    }
}
