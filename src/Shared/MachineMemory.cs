// The memory that this process may have: what is certain not to fit is said before minutes of work. Compiled into each assembly that asks.
// Sources: proc(5), cgroups(7); on systems that have neither, the runtime.

using System.Globalization;

namespace PeftAlign;

internal static class MachineMemory
{
    private const int Unit = 1024; // of meminfo's "kB"
    private const string Groups = "/sys/fs/cgroup";

    /// <summary>Bytes of the machine, or of the container or service where that may have fewer.</summary>
    internal static long Total
    {
        get
        {
            var least = Bytes("MemTotal") is > 0 and var total ? total : GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
            foreach (var limit in Limits()) least = Math.Min(least, limit);
            return least;
        }
    }

    /// <summary>The same with the space to swap to: the most that can be had, whoever has it now.</summary>
    internal static long Limit => Total + Bytes("SwapTotal");

    /// <summary>Bytes that are free now, or would be if the page cache were given up; 0 where the kernel does not say.</summary>
    internal static long Free => Math.Min(Bytes("MemAvailable"), Total);

    private static long Bytes(string figure) =>
        File.Exists("/proc/meminfo") && File.ReadLines("/proc/meminfo").FirstOrDefault(line => line.StartsWith(figure + ":", StringComparison.Ordinal)) is { } line
            ? long.Parse(line[(figure.Length + 1)..].Trim().Split(' ')[0], CultureInfo.InvariantCulture) * Unit
            : 0;

    // Of the group that this process is in and of those above it. "max" is no number.
    private static IEnumerable<long> Limits()
    {
        foreach (var (controller, folder, file) in ((string, string, string)[])[("", Groups, "memory.max"), ("memory", $"{Groups}/memory", "memory.limit_in_bytes")])
            for (var group = OwnGroup(controller); ; group = group[..group.LastIndexOf('/')])
            {
                var limit = $"{folder}{group}/{file}";
                if (File.Exists(limit) && long.TryParse(File.ReadAllText(limit).Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out var bytes)) yield return bytes;
                if (group.Length == 0) break;
            }
    }

    // "0::/a/b" in version 2, "4:memory:/a/b" in version 1; empty for the uppermost group, and where there is none.
    private static string OwnGroup(string controller) =>
        File.Exists("/proc/self/cgroup") && File.ReadLines("/proc/self/cgroup").Select(line => line.Split(':', 3)).FirstOrDefault(parts => parts.Length == 3 && parts[1] == controller) is { } own ? own[2].TrimEnd('/') : "";
}
