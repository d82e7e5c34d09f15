// Tells the collector of native memory that managed objects keep. Telling it costs a few tenths of a microsecond, so
// small amounts are gathered: what is made and disposed again at once never gets there.

namespace PeftAlign.Torch.Native;

internal static class MemoryPressure
{
    private const long Unit = 1 << 20;
    private static long pending;

    /// <summary>Native bytes that came (or went, if negative).</summary>
    internal static void Add(long bytes)
    {
        var sum = Interlocked.Add(ref pending, bytes);
        if (sum is > -Unit and < Unit) return;
        var taken = Interlocked.Exchange(ref pending, 0);
        if (taken > 0) GC.AddMemoryPressure(taken);
        else if (taken < 0) GC.RemoveMemoryPressure(-taken);
    }
}
