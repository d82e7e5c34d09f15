// "Did you mean": the known name nearest to a mistyped one, by the optimal string alignment distance
// (insertions, deletions, substitutions and swaps of neighbours, each costing one).

namespace PeftAlign.Host.CommandLine;

internal static class Suggestions
{
    /// <summary>"did you mean X?" for the nearest name, or null where none is near (more than a third of the letters differ, or too short to tell).</summary>
    public static string? DidYouMean(string given, IEnumerable<string> known)
    {
        if (given.Length < 3) return null;
        var nearest = known.Select(name => (Name: name, Distance: Distance(given, name))).OrderBy(pair => pair.Distance).FirstOrDefault();
        var starts = known.Where(name => name.StartsWith(given, StringComparison.Ordinal)).ToList();
        if (nearest.Name != null && nearest.Distance <= Math.Max(1, nearest.Name.TrimStart('-').Length / 3)) return $"did you mean {nearest.Name}?";
        return starts.Count == 1 ? $"did you mean {starts[0]}?" : null;
    }

    internal static int Distance(string a, string b)
    {
        var d = new int[a.Length + 1, b.Length + 1];
        for (var i = 0; i <= a.Length; i++) d[i, 0] = i;
        for (var j = 0; j <= b.Length; j++) d[0, j] = j;
        for (var i = 1; i <= a.Length; i++)
        {
            for (var j = 1; j <= b.Length; j++)
            {
                var change = d[i - 1, j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
                d[i, j] = Math.Min(change, 1 + Math.Min(d[i - 1, j], d[i, j - 1]));
                if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) d[i, j] = Math.Min(d[i, j], d[i - 2, j - 2] + 1);
            }
        }
        return d[a.Length, b.Length];
    }
}
