// A column of a CSV file as pandas (3.1) reads it: whole numbers, floating-point numbers, booleans, else texts; some words stand for nothing.

using System.Globalization;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace PeftAlign.Eval.Tasks;

internal static partial class CsvColumn
{
    private static readonly HashSet<string> Nothing =
    [
        "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
    ];

    /// <summary>The values of a column's cells.</summary>
    /// <param name="cells">What is written; null where a file lacks the column.</param>
    internal static IReadOnlyList<JsonNode?> Typed(IReadOnlyList<string?> cells)
    {
        List<string> held = [.. cells.OfType<string>().Where(c => !Nothing.Contains(c))];
        IReadOnlyList<JsonNode?> All(Func<string, JsonNode> value) => [.. cells.Select(c => c is null || Nothing.Contains(c) ? null : value(c))];
        var other = held.Find(c => !long.TryParse(c, NumberStyles.Integer, CultureInfo.InvariantCulture, out _));
        if (other is null && held.Count == cells.Count) return All(c => long.Parse(c, NumberStyles.Integer, CultureInfo.InvariantCulture));
        // Too large for 64 bits with a sign: without it if all fit, else the cells as they are.
        if (other is not null && Whole().IsMatch(other))
            return cells.All(c => ulong.TryParse(c, NumberStyles.Integer, CultureInfo.InvariantCulture, out _)) ? All(c => ulong.Parse(c, NumberStyles.Integer, CultureInfo.InvariantCulture)) : [.. cells.Select(c => (JsonNode?)c)];
        if (held.TrueForAll(c => Real().IsMatch(c))) return All(c => TaskColumns.Float(Number(c.Trim())));
        return held.TrueForAll(c => bool.TryParse(c, out _) && c.Trim().Length == c.Length) ? All(c => bool.Parse(c)) : All(c => c);
    }

    private static double Number(string text) =>
        text.Contains("inf", StringComparison.OrdinalIgnoreCase) ? text[0] == '-' ? double.NegativeInfinity : double.PositiveInfinity : double.Parse(text, NumberStyles.Float, CultureInfo.InvariantCulture);

    [GeneratedRegex(@"^[\t-\r ]*[+-]?[0-9]+[\t-\r ]*\z", RegexOptions.CultureInvariant)]
    private static partial Regex Whole();

    [GeneratedRegex(@"^[\t-\r ]*[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|inf|infinity)[\t-\r ]*\z", RegexOptions.CultureInvariant | RegexOptions.IgnoreCase)]
    private static partial Regex Real();
}
