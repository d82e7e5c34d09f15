// Lines of values with a character between them, plain or gzipped. With quotes (RFC 4180) a value may hold separators, line ends and
// doubled quotes; without, a quote is a character like others.

using System.Text;
using PeftAlign.Abstractions;
using PeftAlign.Models.Rows;

namespace PeftAlign.Data.Files;

/// <param name="Line">Where the record begins, from 1.</param>
/// <param name="Values">Its values.</param>
internal sealed record DelimitedRow(long Line, IReadOnlyList<string> Values);

internal static class Delimited
{
    /// <summary>The records of a file, one after another; blank lines are none.</summary>
    /// <exception cref="UserErrorException">The file cannot be read, or a quote is not closed; file and line are named.</exception>
    internal static IEnumerable<DelimitedRow> Rows(string path, char separator, bool quotes)
    {
        var (text, first) = (new StringBuilder(), 0L);
        foreach (var (number, line) in TextLines.Read(path))
        {
            if (text.Length == 0) first = number;
            else text.Append('\n');
            text.Append(line);
            if (Values(text.ToString(), separator, quotes) is not { } values) continue;
            text.Clear();
            if (values is not [""]) yield return new DelimitedRow(first, values);
        }
        if (text.Length > 0) throw new UserErrorException($"{path}, line {first}: a quoted value is not closed before the end of the file.");
    }

    // Null where a quote is still open.
    private static List<string>? Values(string text, char separator, bool quotes)
    {
        if (!quotes) return [.. text.Split(separator)];
        var (values, value, quoted) = (new List<string>(), new StringBuilder(), false);
        for (var at = 0; at < text.Length; at++)
        {
            var c = text[at];
            if (quoted && c == '"' && at + 1 < text.Length && text[at + 1] == '"') value.Append(text[at++]);
            else if (quoted && c == '"') quoted = false;
            else if (quoted) value.Append(c);
            else if (c == '"' && value.Length == 0) quoted = true;
            else if (c == separator)
            {
                values.Add(value.ToString());
                value.Clear();
            }
            else value.Append(c);
        }
        if (quoted) return null;
        values.Add(value.ToString());
        return values;
    }
}
