// Result rows: one JSON object per line. A row is written whole and at once, so that a reader at the other end of a pipe never waits.

using System.Buffers;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace PeftAlign.Host.Rows;

internal sealed class RowWriter(TextWriter results) : IDisposable
{
    private readonly RowBuffer one = new();
    private readonly Decoder utf8 = Encoding.UTF8.GetDecoder();
    private readonly char[] chars = new char[1 << 14];

    /// <summary>Writes one row; nothing of it where <paramref name="fields"/> throws.</summary>
    /// <param name="fields">Writes the object's fields.</param>
    public void Write(Action<Utf8JsonWriter> fields)
    {
        one.Clear();
        one.Add(fields);
        Write(one);
    }

    /// <summary>Writes rows that were made before.</summary>
    public void Write(RowBuffer rows)
    {
        ResultReader.ThrowIfGone();
        WriteText(rows.Bytes);
        results.Flush();
    }

    // Piece by piece: a row of tens of megabytes makes no text of that size.
    private void WriteText(ReadOnlySpan<byte> row)
    {
        while (row.Length > 0)
        {
            utf8.Convert(row, chars, flush: false, out var read, out var written, out _);
            results.Write(chars, 0, written);
            row = row[read..];
        }
    }

    public void Dispose() => one.Dispose();
}

/// <summary>Result rows before they are written, for work on several threads.</summary>
internal sealed class RowBuffer : IDisposable
{
    private readonly ArrayBufferWriter<byte> bytes = new(1 << 12);
    private readonly Utf8JsonWriter json;
    private int whole;

    public RowBuffer() => json = new Utf8JsonWriter(bytes, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });

    /// <summary>UTF-8 of whole rows, each with its line end.</summary>
    public ReadOnlySpan<byte> Bytes => bytes.WrittenSpan[..whole];

    /// <summary>Adds a row; nothing of it where <paramref name="fields"/> throws, and none may come after that.</summary>
    /// <param name="fields">Writes the object's fields.</param>
    public void Add(Action<Utf8JsonWriter> fields)
    {
        json.Reset();
        json.WriteStartObject();
        fields(json);
        json.WriteEndObject();
        json.Flush();
        bytes.Write("\n"u8);
        whole = bytes.WrittenCount;
    }

    public void Clear()
    {
        bytes.ResetWrittenCount();
        whole = 0;
    }

    public void Dispose() => json.Dispose();
}

internal static class RowFields
{
    /// <summary>Writes a list of whole numbers.</summary>
    public static void WriteNumbers(this Utf8JsonWriter json, string name, IEnumerable<int> numbers)
    {
        json.WriteStartArray(name);
        foreach (var number in numbers) json.WriteNumberValue(number);
        json.WriteEndArray();
    }

    /// <summary>Writes a list of texts.</summary>
    public static void WriteTexts(this Utf8JsonWriter json, string name, IEnumerable<string> texts)
    {
        json.WriteStartArray(name);
        foreach (var text in texts) json.WriteStringValue(text);
        json.WriteEndArray();
    }
}
