// JSON texts as the libraries write them whose files we write again: quotes, backslashes and control characters are escaped, and where
// a file is ASCII, all that is not.

using System.Text;

namespace PeftAlign.Models.Checkpoints;

internal static class QuotedJson
{
    /// <summary>Appends a text in quotes.</summary>
    /// <param name="text">What it is appended to.</param>
    /// <param name="value">The text.</param>
    /// <param name="ascii">Whether other characters than those from blank to tilde are escaped, each UTF-16 unit for itself.</param>
    internal static void Append(StringBuilder text, string value, bool ascii)
    {
        text.Append('"');
        foreach (var c in value)
        {
            text.Append(c switch
            {
                '"' => "\\\"",
                '\\' => "\\\\",
                '\b' => "\\b",
                '\f' => "\\f",
                '\n' => "\\n",
                '\r' => "\\r",
                '\t' => "\\t",
                < ' ' => $"\\u{(int)c:x4}",
                > '~' when ascii => $"\\u{(int)c:x4}",
                _ => c.ToString(),
            });
        }
        text.Append('"');
    }
}
