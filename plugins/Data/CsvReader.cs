// Comma-separated values (RFC 4180), plain or gzipped: the first line names the columns, every value is a text; a quoted value may
// hold separators, line ends and doubled quotes. Errors name file and line.

using System.IO.Compression;
using System.Text;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;

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
        using var file = File.OpenRead(path);
        using var plain = path.EndsWith(".gz", StringComparison.OrdinalIgnoreCase) ? new GZipStream(file, CompressionMode.Decompress) : (Stream)file;
        using var text = new StreamReader(plain);
        long line = 1, row = 0;
        var names = Next(text, path, ref line) ?? throw new UserErrorException($"{path}: the file is empty; its first line must name the columns.");
        if (names.GroupBy(n => n).FirstOrDefault(g => g.Count() > 1) is { } twice) throw new UserErrorException($"{path}, line 1: two columns are called '{twice.Key}'.");
        for (var start = line; Next(text, path, ref line) is { } values; start = line)
        {
            if (values is [""]) continue; // a blank line
            if (values.Count != names.Count) throw new UserErrorException($"{path}, line {start}: {values.Count} values, but line 1 names {names.Count} columns; quote values that hold the separator ({options.Separator}).");
            yield return new DataRecord(new JsonObject(names.Zip(values, (name, value) => KeyValuePair.Create(name, (JsonNode?)value))), System.IO.Path.GetFileName(path), ++row) { Line = start };
        }
    }

    // One record; null at the end of the file. A line end inside quotes belongs to the value.
    private List<string>? Next(StreamReader text, string path, ref long line)
    {
        if (text.Peek() < 0) return null;
        var (start, values, value) = (line, new List<string>(), new StringBuilder());
        var quoted = false;
        for (var next = text.Read(); ; next = text.Read())
        {
            if (next == '\n') line++;
            if (quoted)
            {
                if (next < 0) throw new UserErrorException($"{path}, line {start}: a quoted value is not closed before the end of the file.");
                if (next != '"') value.Append((char)next);
                else if (text.Peek() == '"') value.Append((char)text.Read());
                else quoted = false;
            }
            else if (next == '"' && value.Length == 0) quoted = true;
            else if (next == separator || next is '\n' or < 0)
            {
                values.Add(next == separator || value.Length == 0 || value[^1] != '\r' ? value.ToString() : value.ToString(0, value.Length - 1));
                value.Clear();
                if (next != separator) return values;
            }
            else value.Append((char)next);
        }
    }
}
