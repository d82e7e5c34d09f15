// The safety net under dispose scopes: what nobody refers to any more is freed before an allocation fails for good.

namespace PeftAlign.Torch.Native;

internal static class Memory
{
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
