// Separated values (RFC 4180), plain or gzipped: the first line names the columns, every value is a text. Errors name file and line.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models.Rows;

namespace PeftAlign.Data;

/// <summary>Options of csv.</summary>
public sealed class CsvOptions
{
    /// <summary>The file, .csv or .csv.gz.</summary>
    [OptionRequired]
    [OptionNames("path")]
    public string? Path { get; set; }

    /// <summary>What stands between values.</summary>
    [OptionChoices("comma", "semicolon", "tab")]
    public string Separator { get; set; } = "comma";

    /// <summary>csv: a value may stand in quotes; none: a quote is a character like others.</summary>
    [OptionChoices("csv", "none")]
    public string Quoting { get; set; } = "csv";
}

internal sealed class CsvReader(CsvOptions options) : IDatasetReader
{
    private readonly char separator = options.Separator switch { "semicolon" => ';', "tab" => '\t', _ => ',' };

    public IEnumerable<DataRecord> Read(string? split)
    {
        if (split is not null) throw new UserErrorException($"Reader csv has no splits; leave 'split' ({split}) out and name the file.");
        if (options.Path is not { } path) throw new UserErrorException("Reader csv needs 'path', a .csv or .csv.gz file.");
        if (Directory.Exists(path)) throw new UserErrorException($"'{path}' is a folder; reader csv needs a .csv or .csv.gz file. Name one inside it.");
        if (!File.Exists(path)) throw new UserErrorException($"There is no file '{path}'; reader csv needs a .csv or .csv.gz file.");
        return Rows(path);
    }

    private IEnumerable<DataRecord> Rows(string path)
    {
        var (names, row) = ((IReadOnlyList<string>?)null, 0L);
        foreach (var (line, values) in DelimitedRows.OfFile(path, separator, options.Quoting == "csv"))
        {
            if (names is null)
            {
                if (values.GroupBy(n => n).FirstOrDefault(g => g.Count() > 1) is { } twice) throw new UserErrorException($"{path}, line {line}: two columns are called '{twice.Key}'.");
                names = values;
                continue;
            }
            if (values.Count != names.Count) throw new UserErrorException($"{path}, line {line}: {values.Count} values, but line 1 names {names.Count} columns; quote values that hold the separator ({options.Separator}).");
            yield return new DataRecord(new JsonObject(names.Zip(values, (name, value) => KeyValuePair.Create(name, (JsonNode?)value))), System.IO.Path.GetFileName(path), ++row) { Line = line };
        }
        if (names is null) throw new UserErrorException($"{path}: the file is empty; its first line must name the columns.");
    }
}
