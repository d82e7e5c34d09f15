// What a process holds of mapped files: the kernel's word on each map (proc(5), smaps).

using System.Globalization;
using System.Text.RegularExpressions;

namespace PeftAlign.Tests;

internal static partial class MappedPages
{
    /// <summary>Resident bytes of the maps of a folder's files.</summary>
    internal static long Resident(string folder)
    {
        var (bytes, isOurs) = (0L, false);
        foreach (var line in File.ReadLines("/proc/self/smaps"))
            if (Head().IsMatch(line)) isOurs = line.Contains(folder, StringComparison.Ordinal);
            else if (isOurs && line.StartsWith("Rss:", StringComparison.Ordinal)) bytes += 1024 * long.Parse(line[4..].Replace("kB", "", StringComparison.Ordinal), CultureInfo.InvariantCulture);
        return bytes;
    }

    [GeneratedRegex("^[0-9a-f]+-[0-9a-f]+ ")]
    private static partial Regex Head();
}
