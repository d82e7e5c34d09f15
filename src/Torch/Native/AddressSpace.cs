// Whether a limit on address space (ulimit -v, as batch systems set it) leaves enough to open libtorch. OpenBLAS retries for ever when it
// does not get its threads' buffers, so the process would hang instead of failing.

using System.Globalization;

namespace PeftAlign.Torch.Native;

internal static class AddressSpace
{
    // Measured with Debian's libtorch 1.13.1 (2026-11-22): to open it 0.62 GB on one core, 0.84 on two, 1.28 on four; OpenBLAS, OpenMP and our
    // own pool each start a thread a core, with a stack, a buffer and an arena of the allocator. With the arenas and threads of what runs
    // behind that, commands on four cores hung, aborted or got no thread where up to 1.5 GB were left.
    private const long Libraries = 600_000_000, EachCore = 300_000_000;

    internal static void RefuseIfNarrow()
    {
        try
        {
            if (Limit() is { } limit) Refuse(limit, Environment.SystemPageSize * Number(File.ReadAllText("/proc/self/statm").Split(' ')[0]), Environment.ProcessorCount);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // No /proc: nothing is known, and opening says what it needs.
        }
    }

    internal static void Refuse(long limit, long taken, int cores)
    {
        var needed = Libraries + cores * EachCore;
        if (limit - taken < needed)
            throw new TorchSettingException($"the process may have {Gigabytes(limit)} of addresses (ulimit -v) and has taken {Gigabytes(taken)}; libtorch needs {Gigabytes(needed)} more on {cores} cores: raise the limit, for instance with 'ulimit -v unlimited'");
    }

    // "Max address space         4096000000           unlimited            bytes"; null where there is none.
    private static long? Limit()
    {
        var words = File.ReadLines("/proc/self/limits").FirstOrDefault(line => line.StartsWith("Max address space", StringComparison.Ordinal))?.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        return words is [_, _, _, var now, ..] && now != "unlimited" ? Number(now) : null;
    }

    // A limit beyond 2^63 is no limit.
    private static long Number(string text) => long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : long.MaxValue;

    private static string Gigabytes(long bytes) => (bytes / 1e9).ToString("0.0", CultureInfo.InvariantCulture) + " GB";
}
