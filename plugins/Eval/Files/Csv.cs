// Comma-separated values (RFC 4180): quoted fields may hold commas, quotes (doubled) and line ends.

using System.Text;
using PeftAlign.Abstractions;

namespace PeftAlign.Eval.Files;

/// <param name="Line">Where the row begins, from 1.</param>
/// <param name="Fields">Its fields.</param>
internal sealed record CsvRow(int Line, IReadOnlyList<string> Fields);

internal static class Csv
{
    /// <summary>The rows of a text; empty lines count as none.</summary>
    /// <exception cref="UserErrorException">A quote is not closed.</exception>
    internal static IEnumerable<CsvRow> Rows(string text, string path, char separator = ',')
    {
        var (at, line) = (0, 1);
        while (at < text.Length)
        {
            var (fields, first) = (new List<string>(), line);
            for (var more = true; more;) (at, line, more) = Field(text, at, line, separator, path, fields);
            if (fields is not [""]) yield return new CsvRow(first, fields);
        }
    }

    // One field; whether another follows on the row.
    private static (int At, int Line, bool More) Field(string text, int at, int line, char separator, string path, List<string> fields)
    {
        var value = new StringBuilder();
        if (at < text.Length && text[at] == '"')
        {
            var first = line;
            for (at++; ; at++)
            {
                if (at >= text.Length) throw new UserErrorException($"{path}, line {first}: a quote is not closed; close it, or double the quotes inside the field.");
                if (text[at] == '\n') line++;
                if (text[at] != '"') value.Append(text[at]);
                else if (at + 1 < text.Length && text[at + 1] == '"') value.Append(text[at++]);
                else break;
            }
            at++;
        }
        while (at < text.Length && text[at] != separator && text[at] is not ('\n' or '\r')) value.Append(text[at++]);
        fields.Add(value.ToString());
        if (at < text.Length && text[at] == separator) return (at + 1, line, true);
        if (at < text.Length && text[at] == '\r') at++;
        if (at < text.Length && text[at] == '\n') at++;
        return (at, line + 1, false);
    }
}
