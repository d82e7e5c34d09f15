// Rows as aligned columns for people: texts to the left, numbers to the right.

namespace PeftAlign.Host;

/// <param name="headings">One for each column; numbers' headings begin with '>'.</param>
internal sealed class TextTable(params string[] headings)
{
    private const int Between = 2;
    private readonly List<string[]> rows = [[.. headings.Select(heading => heading.TrimStart('>'))]];

    internal void Add(params string[] cells) => rows.Add(cells);

    internal IEnumerable<string> Lines()
    {
        int[] widths = [.. headings.Select((_, column) => rows.Max(row => row[column].Length))];
        return rows.Select(row => string.Concat(row.Select((cell, k) => (headings[k].StartsWith('>') ? cell.PadLeft(widths[k]) : cell.PadRight(widths[k])) + new string(' ', Between))).TrimEnd());
    }
}
