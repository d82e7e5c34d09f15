// The safety net under dispose scopes: what nobody refers to any more is freed before an allocation fails for good, and
// when much has come to be held. GC.AddMemoryPressure would be the runtime's way; it judges by what comes and goes, not by
// what stays, and took a fifth of a small training step for collections that found nothing.

namespace PeftAlign.Torch.Native;

internal static class Memory
{
    private const long Step = 256L << 20;
    private static long held;
    private static long limit = Step;

    /// <summary>Counts bytes that a managed object holds; asks for a collection where they have grown by half (256 MB at least) since the last.</summary>
    internal static void Hold(long bytes)
    {
        var now = Interlocked.Add(ref held, bytes);
        var before = Volatile.Read(ref limit);
        if (now <= before || Interlocked.CompareExchange(ref limit, now + Math.Max(Step, now / 2), before) != before) return;
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Forced, blocking: false);
    }

    /// <summary>Bytes are held no longer. The limit follows what is held downwards.</summary>
    internal static void Release(long bytes)
    {
        var now = Interlocked.Add(ref held, -bytes);
        var before = Volatile.Read(ref limit);
        if (before > 4 * (now + Step)) Interlocked.CompareExchange(ref limit, 2 * (now + Step), before);
    }

    /// <summary>Collects, runs finalizers, and empties the CUDA cache. Returns true: one retry is worth it.</summary>
    internal static bool Reclaim()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        GC.Collect();
        if (Shim.pa_cuda_count(out var devices) != Status.Ok) return true;
        for (var k = 0; k < devices; k++) _ = Shim.pa_cuda_memory_reset(k, 0, 1);
        return true;
    }
}
