// JSON lines, plain or gzipped: one object per line. Errors name file and line.

using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models.Rows;

namespace PeftAlign.Data;

/// <summary>Options of jsonl.</summary>
public sealed class JsonlOptions
{
    /// <summary>The file, .jsonl or .jsonl.gz.</summary>
    [OptionRequired]
    [OptionNames("path")]
    public string Path { get; set; } = "";

    /// <summary>Rows to read; 0 = all.</summary>
    [OptionRange(0)]
    public int Limit { get; set; }
}

internal sealed class JsonlReader(JsonlOptions options) : IDatasetReader
{
    public IEnumerable<DataRecord> Read(string? split)
    {
        if (split is not null) throw new UserErrorException($"Reader jsonl has no splits; leave 'split' ({split}) out and name the file.");
        if (Directory.Exists(options.Path)) throw new UserErrorException($"'{options.Path}' is a folder; reader jsonl needs a .jsonl or .jsonl.gz file. Name one inside it.");
        if (!File.Exists(options.Path)) throw new UserErrorException($"There is no file '{options.Path}'; reader jsonl needs a .jsonl or .jsonl.gz file.");
        return Rows(options.Path);
    }

    private IEnumerable<DataRecord> Rows(string path)
    {
        var row = 0L;
        foreach (var (line, text) in TextLines.Read(path))
        {
            if (string.IsNullOrWhiteSpace(text)) continue;
            yield return new DataRecord(Parsed(text, path, line), System.IO.Path.GetFileName(path), ++row) { Line = line };
            if (options.Limit > 0 && row == options.Limit) yield break;
        }
    }

    private static JsonObject Parsed(string text, string path, long line)
    {
        try
        {
            if (RowJson.Parse(text) is JsonObject fields) return fields;
            throw new UserErrorException(text.AsSpan().TrimStart().StartsWith("[") ? $"{path}, line {line}: not a JSON object; {RowJson.Remedy(text, path)}."
                : $"{path}, line {line}: not a JSON object; each line must be one, for instance {{\"prompt\": ..., \"completion\": ...}}.");
        }
        catch (JsonException e)
        {
            throw new UserErrorException($"{path}, line {line}: not valid JSON ({RowJson.Cause(e)}); {RowJson.Remedy(text, path)}.", e);
        }
    }
}
