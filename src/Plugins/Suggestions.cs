// "Did you mean": the known name nearest to a mistyped one, by edit distance with swaps of neighbours (optimal string alignment).

namespace PeftAlign.Plugins;

internal static class Suggestions
{
    /// <summary>The nearest known name, or null where none is near: at most a third of the letters may differ, but always one.</summary>
    public static string? Nearest(string given, IEnumerable<string> known) =>
        (from name in known.Distinct()
         let distance = Distance(given, name)
         where distance <= Math.Max(1, Math.Max(given.Length, name.Length) / 3)
         orderby distance, name
         select name).FirstOrDefault();

    /// <summary>" Did you mean 'x'?" or " Known: a, b, c." with at most twenty names.</summary>
    public static string Hint(string given, IReadOnlyCollection<string> known)
    {
        if (Nearest(given, known) is { } nearest) return $" Did you mean '{nearest}'?";
        if (known.Count == 0) return "";
        var shown = string.Join(", ", known.Order(StringComparer.Ordinal).Take(20));
        return known.Count > 20 ? $" Known: {shown} ... ({known.Count} in all)." : $" Known: {shown}.";
    }

    private static int Distance(string a, string b)
    {
        var table = new int[a.Length + 1, b.Length + 1];
        for (var i = 0; i <= a.Length; i++) table[i, 0] = i;
        for (var j = 0; j <= b.Length; j++) table[0, j] = j;
        for (var i = 1; i <= a.Length; i++)
            for (var j = 1; j <= b.Length; j++)
            {
                var replaced = table[i - 1, j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
                table[i, j] = Math.Min(replaced, Math.Min(table[i - 1, j], table[i, j - 1]) + 1);
                if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                    table[i, j] = Math.Min(table[i, j], table[i - 2, j - 2] + 1);
            }
        return table[a.Length, b.Length];
    }
}
