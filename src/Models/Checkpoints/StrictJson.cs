// JSON files of a model folder: bounded length and depth, no comments, no NaN, no key twice, objects only.

using System.Text.Json;
using System.Text.Unicode;
using PeftAlign.Abstractions;

namespace PeftAlign.Models.Checkpoints;

/// <summary>Reads a JSON file of a model folder.</summary>
public static class StrictJson
{
    /// <summary>The largest known index (of a model in 163 shards) has 9 MB.</summary>
    private const long LongestFile = 32 << 20;

    private static readonly JsonDocumentOptions Options = new() { MaxDepth = 64, AllowDuplicateProperties = false };

    /// <summary>The object that a JSON file holds.</summary>
    /// <exception cref="UserErrorException">The file is missing, too long, or not one JSON object.</exception>
    public static JsonElement Object(string file)
    {
        var bytes = Bytes(file);
        try
        {
            var text = WithoutMark(bytes);
            CheckTexts(text.Span);
            using var document = JsonDocument.Parse(text, Options);
            if (document.RootElement.ValueKind == JsonValueKind.Object) return document.RootElement.Clone();
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw Fault.In(file, $"this is not valid JSON ({Cause(e)}); repair it, or copy the file again.", e);
        }
        throw Fault.In(file, "the file must hold one JSON object.");
    }

    /// <summary>A reader's message in one line, with the place; NaN has a word of its own, since Python writes it.</summary>
    internal static string Cause(Exception e)
    {
        var text = e.Message.ReplaceLineEndings(" ");
        var place = text.IndexOf(" LineNumber:", StringComparison.Ordinal);
        var cause = place > 0 ? text[..place].TrimEnd('.') : text.TrimEnd('.');
        var hint = cause.StartsWith("'N' is", StringComparison.Ordinal) || cause.StartsWith("'I' is", StringComparison.Ordinal)
            ? "; NaN and Infinity are not numbers of JSON" : "";
        return e is JsonException { LineNumber: { } line, BytePositionInLine: { } column }
            ? $"line {line + 1}, column {column + 1}: {cause}{hint}" : cause + hint;
    }

    private static byte[] Bytes(string file)
    {
        try
        {
            var length = RegularFile.Length(file);
            if (length > LongestFile) throw Fault.In(file, $"the file has {length} bytes; the limit for JSON of a model folder is {LongestFile}.");
            return length == 0 ? throw Fault.In(file, "the file is empty; copy it again.") : File.ReadAllBytes(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Fault.Unreadable(file, e);
        }
    }

    // A document looks into its texts only when they are asked for; what is no Unicode is to be found here and now.
    private static void CheckTexts(ReadOnlySpan<byte> text)
    {
        if (!Utf8.IsValid(text)) throw new JsonException("The text is not UTF-8");
        var reader = new Utf8JsonReader(text, new JsonReaderOptions { MaxDepth = Options.MaxDepth });
        while (reader.Read())
            if (reader.TokenType is JsonTokenType.String or JsonTokenType.PropertyName && reader.ValueIsEscaped) reader.GetString();
    }

    private static ReadOnlyMemory<byte> WithoutMark(byte[] bytes) =>
        bytes.AsSpan().StartsWith((ReadOnlySpan<byte>)[0xEF, 0xBB, 0xBF]) ? bytes.AsMemory(3) : bytes;
}
