// What Python's str.isspace and str.split take for white space: four separators more than .NET.

namespace PeftAlign.Host;

internal static class PythonWhiteSpace
{
    internal static bool Is(char c) => char.IsWhiteSpace(c) || c is >= '\u001c' and <= '\u001f';
}
