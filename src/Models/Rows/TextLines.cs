// The lines of a text file, plain or gzip, for readers of data: one after another, each with its number.

using System.Text;
using PeftAlign.Abstractions;
using PeftAlign.Models.Checkpoints;

namespace PeftAlign.Models.Rows;

/// <summary>A line of a file.</summary>
/// <param name="Number">From 1; blank lines count.</param>
/// <param name="Text">Without its end and without a byte order mark.</param>
public readonly record struct TextLine(long Number, string Text);

/// <summary>Reads text files line by line.</summary>
public static class TextLines
{
    private static readonly UTF8Encoding Strict = new(false, throwOnInvalidBytes: true);

    /// <summary>The lines of a UTF-8 file, plain or gzip (RFC 1952, told by its first bytes), read as they are asked for; each
    /// enumeration opens the file anew.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="UserErrorException">There is no such file, it cannot be read, its gzip data are damaged or cut off, or a
    /// line is no UTF-8; file and line are named.</exception>
    public static IEnumerable<TextLine> Read(string path)
    {
        foreach (var line in Read(path, Open(path))) yield return line;
    }

    /// <summary>The lines of bytes that come from elsewhere, such as standard input, plain or gzip.</summary>
    /// <param name="name">What errors call the source.</param>
    /// <param name="source">The bytes; disposed at their end.</param>
    /// <exception cref="UserErrorException">The gzip data are damaged or cut off, or a line is no UTF-8; source and line are named.</exception>
    public static IEnumerable<TextLine> Read(string name, Stream source)
    {
        using var lines = new LineReader(name, source);
        while (lines.Next() is { } line) yield return new TextLine(lines.Number, Decoded(name, lines.Number, line.Span));
    }

    private static FileStream Open(string path)
    {
        try
        {
            var file = RegularFile.Open(path);
            if (!IsParquet(file)) return file;
            file.Dispose();
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new UserErrorException($"{path}: there is no such file; give a text file, plain or .gz.", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            var why = Directory.Exists(path) ? "is a folder" : $"cannot be read ({e.Message.TrimEnd('.')})";
            throw new UserErrorException($"{path}: {why}; give a text file, plain or .gz.", e);
        }
        throw new UserErrorException($"{path}: is a Parquet file, not text; write its rows as JSON lines (Python: pandas.read_parquet(IN).to_json(OUT, orient=\"records\", lines=True)) and give that file.");
    }

    // Data sets are often published so, and renaming makes no text of them.
    private static bool IsParquet(FileStream file)
    {
        Span<byte> head = stackalloc byte[4];
        var isParquet = file.ReadAtLeast(head, head.Length, throwOnEndOfStream: false) == head.Length && head.SequenceEqual("PAR1"u8);
        file.Position = 0;
        return isParquet;
    }

    private static string Decoded(string path, long number, ReadOnlySpan<byte> line)
    {
        try
        {
            return Strict.GetString(line);
        }
        catch (DecoderFallbackException e)
        {
            throw new UserErrorException($"{path}, line {number}: is no valid UTF-8; convert the file to UTF-8.", e);
        }
    }
}
