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
        var (values, value, open, first) = (new List<string>(), new StringBuilder(), false, 0L);
        foreach (var (number, line) in TextLines.Read(path))
        {
            if (!open) (values, first) = ([], number);
            open = Take(line, separator, quotes, values, value, open);
            if (!open && values is not [""]) yield return new DelimitedRow(first, values);
        }
        if (open) throw new UserErrorException($"{path}, line {first}: a quoted value is not closed before the end of the file.");
    }

    // The values of one more line; whether a quote is open at its end, whose value then goes on.
    private static bool Take(string line, char separator, bool quotes, List<string> values, StringBuilder value, bool quoted)
    {
        if (quoted) value.Append('\n');
        for (var at = 0; at < line.Length; at++)
        {
            var c = line[at];
            if (quoted && c == '"' && at + 1 < line.Length && line[at + 1] == '"') value.Append(line[at++]);
            else if (quoted && c == '"') quoted = false;
            else if (quoted) value.Append(c);
            else if (quotes && c == '"' && value.Length == 0) quoted = true;
            else if (c == separator) End(values, value);
            else value.Append(c);
        }
        if (!quoted) End(values, value);
        return quoted;
    }

    private static void End(List<string> values, StringBuilder value)
    {
        values.Add(value.ToString());
        value.Clear();
    }
}
