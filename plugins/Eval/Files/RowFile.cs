// Rows of local data files: JSON lines, a JSON list, or CSV with a header; plain or gzip. Errors name file and line.

using System.Globalization;
using System.IO.Compression;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Rows;

namespace PeftAlign.Eval.Files;

internal static class RowFile
{
    /// <summary>All rows of a file.</summary>
    /// <exception cref="UserErrorException">It is missing or broken; file and line are named.</exception>
    internal static IReadOnlyList<JsonObject> Read(string path, bool csv)
    {
        var text = Text(path);
        if (csv) return Table(path, text);
        if (text.AsSpan().TrimStart() is ['[', ..]) return List(path, text);
        var rows = new List<JsonObject>();
        var number = 0;
        foreach (var line in text.Split('\n'))
        {
            number++;
            if (!string.IsNullOrWhiteSpace(line)) rows.Add(Parsed(line, $"{path}, line {number}") as JsonObject ?? throw new UserErrorException($"{path}, line {number} is no JSON object; write one object per line."));
        }
        return rows.Count > 0 ? rows : throw new UserErrorException($"{path} holds no rows; give a file with one JSON object per line.");
    }

    /// <summary>A file's text, unpacked where it is gzip.</summary>
    internal static string Text(string path)
    {
        try
        {
            using var file = RegularFile.Open(path);
            using Stream stream = path.EndsWith(".gz", StringComparison.Ordinal) ? new GZipStream(file, CompressionMode.Decompress) : file;
            using var reader = new StreamReader(stream, new UTF8Encoding(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true));
            return reader.ReadToEnd();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserErrorException(File.Exists(path) ? $"{path} cannot be read: {e.Message}" : $"{path} is not there; check the path, which starts at the data folder (--data) or the working directory.", e);
        }
        catch (Exception e) when (e is InvalidDataException or DecoderFallbackException)
        {
            throw new UserErrorException($"{path} is damaged: {e.Message} Fetch it again, as UTF-8.", e);
        }
    }

    /// <summary>A JSON value with its place for errors.</summary>
    internal static JsonNode? Parsed(string text, string place)
    {
        try
        {
            return RowJson.Parse(text);
        }
        catch (JsonException e)
        {
            throw new UserErrorException($"{place} is not valid JSON ({RowJson.Cause(e)}); mend or remove it.", e);
        }
    }

    private static IReadOnlyList<JsonObject> List(string path, string text)
    {
        var list = Parsed(text, path) as JsonArray ?? throw new UserErrorException($"{path} holds no list; write a list of objects, or one object a line in a .jsonl file.");
        if (list.Count == 0) throw new UserErrorException($"{path} holds no rows; give a list with an object for each.");
        return [.. list.Select((row, k) => row as JsonObject ?? throw new UserErrorException($"{path}, item {k + 1} is no JSON object; write a list of objects."))];
    }

    /// <summary>The rows of a CSV file as they are written: every value is a text.</summary>
    /// <exception cref="UserErrorException">It is missing or broken; file and line are named.</exception>
    internal static IReadOnlyList<JsonObject> Cells(string path) => Cells(path, Text(path));

    private static IReadOnlyList<JsonObject> Table(string path, string text)
    {
        var rows = Cells(path, text);
        // A column of whole numbers holds numbers, as other readers of CSV have it.
        foreach (var name in rows[0].Select(f => f.Key).ToList())
            if (rows.All(row => long.TryParse((string)row[name]!, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long _)))
                foreach (var row in rows) row[name] = long.Parse((string)row[name]!, CultureInfo.InvariantCulture);
        return rows;
    }

    private static IReadOnlyList<JsonObject> Cells(string path, string text)
    {
        var rows = DelimitedRows.OfText(text, path).ToList();
        if (rows.Count < 2) throw new UserErrorException($"{path} holds no rows; give a header line and rows.");
        var header = rows[0].Values;
        if (header.GroupBy(name => name).FirstOrDefault(g => g.Count() > 1) is { } twice) throw new UserErrorException($"{path}, line {rows[0].Line}: {twice.Count()} columns are named '{twice.Key}'; give each a name of its own.");
        return [.. rows.Skip(1).Select(row => row.Values.Count == header.Count
            ? new JsonObject(header.Select((name, k) => new KeyValuePair<string, JsonNode?>(name, row.Values[k])))
            : throw new UserErrorException($"{path}, line {row.Line} has {row.Values.Count} fields; the header has {header.Count}."))];
    }
}
