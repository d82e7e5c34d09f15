// Rows of a file as JSON: no key twice, no half characters. Both would be found later otherwise, far from the line that they stand in.

using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace PeftAlign.Models.Rows;

/// <summary>Reads JSON of rows strictly.</summary>
public static class RowJson
{
    private const int MaxDepth = 64;

    private static readonly JsonDocumentOptions Strict = new() { MaxDepth = MaxDepth, AllowDuplicateProperties = false };

    /// <summary>Parses one value.</summary>
    /// <param name="text">The value.</param>
    /// <exception cref="JsonException">It is no JSON, an object has a key twice, or an escape stands for half a character.</exception>
    public static JsonNode? Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        if (text.Contains("\\ud", StringComparison.OrdinalIgnoreCase)) RefuseHalves(Encoding.UTF8.GetBytes(text));
        return JsonNode.Parse(text, documentOptions: Strict);
    }

    /// <summary>What is wrong with a value, and at which byte of it or of its line, without the parser's own way of counting.</summary>
    /// <param name="error">What parsing threw.</param>
    public static string Cause(JsonException error)
    {
        ArgumentNullException.ThrowIfNull(error);
        var text = error.Message.ReplaceLineEndings(" ");
        var cut = text.IndexOf(" LineNumber:", StringComparison.Ordinal);
        var place = error.BytePositionInLine is not { } at ? "" : error.LineNumber is > 0 and var line ? $"line {line + 1}, byte {at + 1}: " : $"byte {at + 1}: ";
        return place + (cut > 0 ? text[..cut] : text).TrimEnd('.');
    }

    /// <summary>What to do about a line of a file of rows that is no JSON object.</summary>
    /// <param name="line">The line, or its beginning.</param>
    /// <param name="file">The file, or the line's place in it.</param>
    public static string Remedy(string line, string file)
    {
        ArgumentNullException.ThrowIfNull(line);
        ArgumentNullException.ThrowIfNull(file);
        var name = file.Split(", line ")[0];
        if (line.AsSpan().TrimStart().StartsWith("[")) return "each entry of a JSON list must be a line of its own (jq -c '.[]' makes that)";
        return name.EndsWith(".csv", StringComparison.OrdinalIgnoreCase) || name.EndsWith(".tsv", StringComparison.OrdinalIgnoreCase)
            ? "write one JSON object per line, or name the file in a manifest's datasets with reader: csv" : "write one JSON object per line";
    }

    /// <summary>Refuses a value with a text or a key whose escapes stand for half a character (\ud800 alone).</summary>
    /// <param name="json">The value as UTF-8.</param>
    /// <exception cref="JsonException">There is such a text, or this is no JSON.</exception>
    public static void RefuseHalves(ReadOnlySpan<byte> json)
    {
        if (json.IndexOf("\\ud"u8) < 0 && json.IndexOf("\\uD"u8) < 0) return;
        var reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = MaxDepth });
        try
        {
            while (reader.Read())
                if (reader.TokenType is JsonTokenType.String or JsonTokenType.PropertyName) reader.GetString();
        }
        catch (InvalidOperationException e)
        {
            throw new JsonException("an escape \\u stands for half a character", e);
        }
    }
}
