// The safety net under dispose scopes: what nobody refers to any more is freed before an allocation fails for good, and
// when much is held. GC.AddMemoryPressure would be the runtime's way, but it goes by what is allocated and freed rather than by what
// is held, and spent a fifth of a small training step on collections that found nothing.

namespace PeftAlign.Torch.Native;

internal static class Memory
{
    private const long Step = 256L << 20;
    private static long held;
    private static long finalized;
    private static long limit = Step;
    private static int collecting;

    /// <summary>
    /// Counts bytes that a managed object holds. Past the limit (256 MB at first) it asks for one collection at a time. One
    /// that finds tensors keeps the limit; one that finds next to nothing doubles it, so that a program that disposes what it
    /// makes, however much that is, soon sees no more of them.
    /// </summary>
    internal static void Hold(long bytes)
    {
        var now = Interlocked.Add(ref held, bytes);
        if (now <= Volatile.Read(ref limit) || Interlocked.CompareExchange(ref collecting, 1, 0) != 0) return;
        var found = Interlocked.Exchange(ref finalized, 0);
        Volatile.Write(ref limit, found >= Step / 4 ? Math.Max(2 * Step, limit) : 2 * now);
        CollectionEnd.Await();
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Forced, blocking: false);
    }

    /// <summary>Bytes are held no longer. The limit follows what is held downwards.</summary>
    /// <param name="bytes">As given to <see cref="Hold"/>.</param>
    /// <param name="byFinalizer">Whether the collector found the object, and not Dispose.</param>
    internal static void Release(long bytes, bool byFinalizer)
    {
        if (byFinalizer) Interlocked.Add(ref finalized, bytes);
        var now = Interlocked.Add(ref held, -bytes);
        var before = Volatile.Read(ref limit);
        if (before > 4 * (now + Step)) Interlocked.CompareExchange(ref limit, 2 * (now + Step), before);
    }

    // An object that nobody refers to: its finalizer runs when the collection is over, but before those of the handles that were found, which
    // are critical. What these free has to be known before the next collection is thought of, else this one seems to have found nothing.
    private sealed class CollectionEnd
    {
        [System.Runtime.CompilerServices.MethodImpl(System.Runtime.CompilerServices.MethodImplOptions.NoInlining)]
        internal static void Await() => _ = new CollectionEnd();

        ~CollectionEnd() => ThreadPool.UnsafeQueueUserWorkItem(
            static _ =>
            {
                GC.WaitForPendingFinalizers();
                Volatile.Write(ref collecting, 0);
            },
            null);
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
