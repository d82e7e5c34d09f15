// What is freed stays with the process, for the next step's tensors (build/allocator.sh). While a large model changes hands nothing of
// its size comes next, and what was freed would be there beside what takes its place.

using System.Runtime.InteropServices;
using PeftAlign.Torch;

namespace PeftAlign.Training;

/// <summary>Gives disposed tensors' memory back to the system, some hundred megabytes at a time.</summary>
internal sealed partial class FreedMemory : IDisposable
{
    private const long Often = 256 << 20, Worth = 16 << 20;

    private long bytes;

    /// <summary>Disposes a tensor.</summary>
    internal void Dispose(Tensor tensor)
    {
        bytes += tensor.device.type == DeviceType.CPU ? tensor.numel() * tensor.dtype.ElementSize() : 0;
        tensor.Dispose();
        Return(Often);
    }

    /// <summary>Gives back the rest.</summary>
    public void Dispose() => Return(Worth);

    private void Return(long least)
    {
        if (bytes < least) return;
        bytes = 0;
        if (OperatingSystem.IsLinux()) _ = Trim(0);
    }

    // glibc's (malloc_trim(3)): pages between what is in use as well as those at the end.
    [LibraryImport("libc", EntryPoint = "malloc_trim")]
    private static partial int Trim(nuint kept);
}
