// Tables of numbers in CSV files with a header, plain or gzip. What is no finite number is named by file, line, column and value.

using System.Globalization;
using PeftAlign.Abstractions;
using PeftAlign.Models.Rows;

namespace PeftAlign.Eval.Files;

internal static class NumberTable
{
    /// <summary>These columns of every row, in this order; others are not read.</summary>
    /// <exception cref="UserErrorException">The file is missing or broken, or lacks a column; a value is no finite number.</exception>
    internal static IReadOnlyList<(long Line, double[] Row)> Columns(string path, params string[] names)
    {
        var (header, rows) = Read(path);
        foreach (var name in names)
            if (header.Values.Count(known => known == name) is not 1 and var count)
                throw new UserErrorException($"{path}, line {header.Line}: {(count == 0 ? $"no column is named '{name}'" : $"{count} columns are named '{name}'")}; give a file whose header has {string.Join(", ", names)} once each.");
        var places = names.Select(name => header.Values.IndexOf(name)).ToArray();
        return [.. rows.Select(row => (row.Line, places.Select(at => Number(row.Values[at], path, row.Line, header.Values[at])).ToArray()))];
    }

    /// <summary>Rows of a name and so many numbers; a name that stands there twice is a fault.</summary>
    /// <exception cref="UserErrorException">The file is missing or broken; a row has more numbers or fewer, or one that is not finite.</exception>
    internal static IReadOnlyDictionary<string, double[]> Named(string path, int numbers)
    {
        var (header, rows) = Read(path);
        if (header.Values.Count != numbers + 1) throw new UserErrorException($"{path}, line {header.Line}: the header has {header.Values.Count} columns; give a file with {numbers + 1}, a name and {numbers} numbers.");
        var found = new Dictionary<string, double[]>();
        foreach (var row in rows)
            if (!found.TryAdd(row.Values[0], [.. row.Values.Skip(1).Select((text, k) => Number(text, path, row.Line, header.Values[k + 1]))]))
                throw new UserErrorException($"{path}, line {row.Line}: '{row.Values[0]}' stands there a second time; remove one of the rows.");
        return found;
    }

    private static (Header Header, IReadOnlyList<DelimitedRow> Rows) Read(string path)
    {
        var rows = DelimitedRows.OfText(RowFile.Text(path), path).ToList();
        if (rows.Count < 2) throw new UserErrorException($"{path} holds no rows; give a header line and rows.");
        var header = new Header(rows[0].Line, [.. rows[0].Values]);
        rows.RemoveAt(0);
        if (rows.Find(row => row.Values.Count != header.Values.Count) is { } odd) throw new UserErrorException($"{path}, line {odd.Line} has {odd.Values.Count} fields; the header has {header.Values.Count}. Mend or remove the row.");
        return (header, rows);
    }

    private static double Number(string text, string path, long line, string column) =>
        double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var number) && double.IsFinite(number)
            ? number
            : throw new UserErrorException($"{path}, line {line}: {column} is '{text}', no finite number; mend or remove the row.");

    private sealed record Header(long Line, List<string> Values);
}
