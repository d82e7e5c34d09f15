// Messages about broken files. Names and values come from the file itself, so they are shortened and their control
// characters are made visible before they reach a terminal.

using System.Text;
using PeftAlign.Abstractions;

namespace PeftAlign.Models.Checkpoints;

/// <summary>Makes the one kind of exception that a broken or hostile file leads to.</summary>
internal static class Fault
{
    private const int LongestShown = 160;

    /// <summary>"FILE: REASON".</summary>
    public static UserErrorException In(string file, string reason, Exception? inner = null) => new($"{file}: {reason}", inner);

    /// <summary>"FILE: tensor 'NAME': REASON".</summary>
    public static UserErrorException In(string file, string tensor, string reason) => new($"{file}: tensor {Quote(tensor)}: {reason}");

    /// <summary>A text of the file in quotes, on one line and of bounded length.</summary>
    public static string Quote(string text) => $"'{Shown(text)}'";

    /// <summary>A few of many names, with the count of the rest.</summary>
    public static string Some(IReadOnlyCollection<string> names, int most = 5)
    {
        var shown = string.Join(", ", names.Take(most).Select(Quote));
        return names.Count > most ? $"{shown} and {names.Count - most} more" : shown;
    }

    /// <summary>"[2, 3]".</summary>
    public static string Shape(IEnumerable<long> shape) => $"[{string.Join(", ", shape)}]";

    /// <summary>What the operating system refused, as a user error.</summary>
    public static UserErrorException Unreadable(string file, Exception cause) => cause switch
    {
        FileNotFoundException or DirectoryNotFoundException => In(file, "the file does not exist; check the path.", cause),
        UnauthorizedAccessException => In(file, "the file may not be read by this user, or is a folder; check its permissions.", cause),
        _ => In(file, $"the file cannot be read ({cause.Message})", cause),
    };

    private static string Shown(string text)
    {
        var shown = new StringBuilder(Math.Min(text.Length, LongestShown) + 1);
        foreach (var c in text.Length > LongestShown ? text.AsSpan(0, LongestShown) : text)
        {
            if (char.IsControl(c) || char.IsSurrogate(c) || c is '\u2028' or '\u2029') shown.Append($"\\u{(int)c:x4}");
            else shown.Append(c);
        }
        return text.Length > LongestShown ? shown.Append('…').ToString() : shown.ToString();
    }
}
