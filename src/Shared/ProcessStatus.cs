// What the kernel says of a process: lines such as "VmHWM:   123456 kB" (proc(5)). Compiled
// into each assembly that asks.

using System.Globalization;

namespace PeftAlign;

internal static class ProcessStatus
{
    /// <summary>Bytes of a figure; null where the process or the figure is not there.</summary>
    /// <param name="process">A number, or self.</param>
    /// <param name="figure">RssAnon (heap without mapped files), VmHWM (the peak of the resident set) ...</param>
    internal static long? Bytes(string process, string figure) =>
        Text(process, figure) is { } text ? long.Parse(text.Split(' ')[0], CultureInfo.InvariantCulture) * 1024 : null;

    /// <summary>The text of a line behind its name; null where the process or the line is not there.</summary>
    internal static string? Text(string process, string name)
    {
        var status = $"/proc/{process}/status";
        return File.Exists(status) ? File.ReadLines(status).FirstOrDefault(l => l.StartsWith(name + ":", StringComparison.Ordinal))?[(name.Length + 1)..].Trim() : null;
    }

    /// <summary>Megabytes (2^20) of a figure of this process.</summary>
    internal static double OwnMegabytes(string figure) => (Bytes("self", figure) ?? 0) / (1024.0 * 1024);
}
