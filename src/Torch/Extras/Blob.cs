// Tensors over memory that somebody else owns, without a copy: memory-mapped files above all.

using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using PeftAlign.Torch.Native;

namespace PeftAlign.Torch.Extras;

/// <summary>Tensors without a copy over foreign memory.</summary>
public static unsafe class Blob
{
    /// <summary>
    /// A contiguous tensor over memory at <paramref name="data"/>. <paramref name="release"/> runs once, when the last
    /// reference to the storage is gone, on whatever thread that happens, or before this method throws. Writing to read-only memory ends the process.
    /// </summary>
    /// <param name="data">Address of the first element, aligned to the element size.</param>
    /// <param name="shape">Sizes; their product times the element size must be readable.</param>
    /// <param name="dtype">Element type.</param>
    /// <param name="release">Called when the memory is no longer needed; null if it outlives the process.</param>
    public static Tensor FromMemory(nint data, long[] shape, torch.ScalarType dtype, Action? release = null)
    {
        ArgumentNullException.ThrowIfNull(shape);
        var context = release is null ? 0 : GCHandle.ToIntPtr(GCHandle.Alloc(release));
        fixed (long* sizes = shape)
        {
            var status = Shim.pa_tensor_from_blob((void*)data, sizes, shape.Length, (int)dtype, release is null ? null : &Release, (void*)context, out var handle);
            Shim.Check(status, "from_blob");
            return Interop.Wrap(handle)!;
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void Release(void* context)
    {
        var handle = GCHandle.FromIntPtr((nint)context);
        var release = (Action)handle.Target!;
        handle.Free();
        release();
    }
}
