// Result rows: one JSON object per line. A row is written whole and at once, so that a reader at the other end of a pipe never waits.

using System.Buffers;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace PeftAlign.Host.Rows;

internal sealed class RowWriter : IDisposable
{
    private readonly TextWriter results;
    private readonly ArrayBufferWriter<byte> bytes = new(1 << 12);
    private readonly Utf8JsonWriter json;
    private readonly Decoder utf8 = Encoding.UTF8.GetDecoder();
    private readonly char[] chars = new char[1 << 14];

    public RowWriter(TextWriter results)
    {
        this.results = results;
        json = new Utf8JsonWriter(bytes, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });
    }

    /// <summary>Writes one row; nothing of it where <paramref name="fields"/> throws.</summary>
    /// <param name="fields">Writes the object's fields.</param>
    public void Write(Action<Utf8JsonWriter> fields)
    {
        bytes.ResetWrittenCount();
        json.Reset();
        json.WriteStartObject();
        fields(json);
        json.WriteEndObject();
        json.Flush();
        bytes.Write("\n"u8);
        ResultReader.ThrowIfGone();
        WriteText(bytes.WrittenSpan);
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
