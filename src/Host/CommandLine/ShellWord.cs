// A word of a command that is shown to be typed again: paths have spaces.

namespace PeftAlign.Host.CommandLine;

internal static class ShellWord
{
    /// <summary>The text as a POSIX shell takes it.</summary>
    public static string Of(string text) =>
        text.All(c => char.IsAsciiLetterOrDigit(c) || "-_./=:,+".Contains(c)) && text.Length > 0 ? text : $"'{text.Replace("'", "'\\''")}'";
}
