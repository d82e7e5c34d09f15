// Quotes a word of a command that users are to type again, since paths may have spaces.

namespace PeftAlign.Host.CommandLine;

internal static class ShellWord
{
    /// <summary>The text as a POSIX shell takes it.</summary>
    public static string Of(string text) =>
        text.All(c => char.IsAsciiLetterOrDigit(c) || "-_./=:,+".Contains(c)) && text.Length > 0 ? text : $"'{text.Replace("'", "'\\''")}'";
}
