// "did you mean X?" for what was mistyped on the command line.

using PeftAlign.Plugins;

namespace PeftAlign.Host.CommandLine;

internal static class Near
{
    /// <summary>"did you mean X?" for the nearest name, or the only one that begins so; null where none is near or the word is too short to tell.</summary>
    public static string? DidYouMean(string given, IEnumerable<string> known)
    {
        if (given.Length < 3) return null;
        var begin = known.Where(name => name.StartsWith(given, StringComparison.Ordinal)).ToList();
        var name = Suggestions.Nearest(given, known) ?? (begin.Count == 1 ? begin[0] : null);
        return name == null ? null : $"did you mean {name}?";
    }
}
