// What the kernel says of a process's memory: lines such as "VmHWM:   123456 kB" (proc(5)).

using System.Globalization;

namespace PeftAlign.Host;

internal static class ProcessStatus
{
    /// <summary>Bytes of a figure; null where the process or the figure is not there.</summary>
    /// <param name="process">A number, or self.</param>
    /// <param name="figure">RssAnon (heap without mapped files), VmHWM (the peak of the resident set) ...</param>
    internal static long? Bytes(string process, string figure)
    {
        var status = $"/proc/{process}/status";
        var line = File.Exists(status) ? File.ReadLines(status).FirstOrDefault(l => l.StartsWith(figure + ":", StringComparison.Ordinal)) : null;
        return line is null ? null : long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[^2], CultureInfo.InvariantCulture) * 1024;
    }

    /// <summary>Megabytes (2^20) of a figure of this process.</summary>
    internal static double OwnMegabytes(string figure) => (Bytes("self", figure) ?? 0) / (1024.0 * 1024);
}
