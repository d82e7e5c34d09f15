// Rows of values with a character between them (CSV, TSV), from a file or a text. With quotes (RFC 4180) a value may hold separators,
// line ends and doubled quotes; without, a quote is a character like others.

using System.Text;
using PeftAlign.Abstractions;

namespace PeftAlign.Models.Rows;

/// <summary>A row of separated values.</summary>
/// <param name="Line">The line on which it begins, from 1.</param>
/// <param name="Values">Its values, in order.</param>
public sealed record DelimitedRow(long Line, IReadOnlyList<string> Values);

/// <summary>Reads separated values.</summary>
public static class DelimitedRows
{
    private readonly record struct Piece(long Number, string Text, string End);

    /// <summary>The rows of a file, plain or gzip, read as they are asked for; blank lines are none. A line end within quotes is \n.</summary>
    /// <param name="path">The file, UTF-8.</param>
    /// <param name="separator">What stands between two values.</param>
    /// <param name="quotes">Whether values may be quoted.</param>
    /// <exception cref="UserErrorException">The file cannot be read, or a quote is not closed; file and line are named.</exception>
    public static IEnumerable<DelimitedRow> OfFile(string path, char separator, bool quotes) =>
        Rows(TextLines.Read(path).Select(line => new Piece(line.Number, line.Text, "\n")), path, separator, quotes);

    /// <summary>The rows of a text; blank lines are none. Line ends within quotes stay as they are.</summary>
    /// <param name="text">The whole text.</param>
    /// <param name="name">What errors call it.</param>
    /// <param name="separator">What stands between two values.</param>
    /// <param name="quotes">Whether values may be quoted.</param>
    /// <exception cref="UserErrorException">A quote is not closed; name and line are in the message.</exception>
    public static IEnumerable<DelimitedRow> OfText(string text, string name, char separator = ',', bool quotes = true) =>
        Rows(Pieces(text), name, separator, quotes);

    private static IEnumerable<DelimitedRow> Rows(IEnumerable<Piece> lines, string name, char separator, bool quotes)
    {
        var (values, value, open, first) = (new List<string>(), new StringBuilder(), false, 0L);
        foreach (var line in lines)
        {
            if (!open) (values, first) = ([], line.Number);
            open = Take(line, separator, quotes, values, value, open);
            if (!open && values is not [""]) yield return new DelimitedRow(first, values);
        }
        if (open) throw new UserErrorException($"{name}, line {first}: a quote is not closed before the end; close it, or double the quotes inside the value.");
    }

    private static IEnumerable<Piece> Pieces(string text)
    {
        var number = 0L;
        for (var at = 0; at < text.Length;)
        {
            var length = text.AsSpan(at).IndexOfAny('\r', '\n') is >= 0 and var found ? found : text.Length - at;
            var end = text.AsSpan(at + length) switch { [] => "", ['\r', '\n', ..] => "\r\n", ['\r', ..] => "\r", _ => "\n" };
            yield return new Piece(++number, text.Substring(at, length), end);
            at += length + end.Length;
        }
    }

    // The values of one more line; whether a quote is open at its end, whose value then goes on. Whole runs of characters are taken at once.
    private static bool Take(Piece line, char separator, bool quotes, List<string> values, StringBuilder value, bool quoted)
    {
        for (var rest = line.Text.AsSpan(); ;)
        {
            if (quoted)
            {
                var end = rest.IndexOf('"');
                value.Append(end < 0 ? rest : rest[..end]);
                if (end < 0)
                {
                    value.Append(line.End);
                    return true;
                }
                var isDoubled = rest[(end + 1)..] is ['"', ..];
                if (isDoubled) value.Append('"');
                rest = rest[(isDoubled ? end + 2 : end + 1)..];
                quoted = isDoubled;
                continue;
            }
            if (quotes && value.Length == 0 && rest is ['"', ..])
            {
                rest = rest[1..];
                quoted = true;
                continue;
            }
            var next = rest.IndexOf(separator);
            var own = next < 0 ? rest : rest[..next];
            if (value.Length == 0) values.Add(own.ToString());
            else End(values, value.Append(own));
            if (next < 0) return false;
            rest = rest[(next + 1)..];
        }
    }

    private static void End(List<string> values, StringBuilder value)
    {
        values.Add(value.ToString());
        value.Clear();
    }
}
