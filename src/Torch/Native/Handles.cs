// Owned native references. Finalizers free what nobody disposed; what they hold is counted (Memory).

using System.Runtime.InteropServices;

namespace PeftAlign.Torch.Native;

/// <summary>One owned reference to a TensorImpl.</summary>
internal sealed class TensorHandle : SafeHandle
{
    private const int OwnBytes = 512; // about what a TensorImpl takes without its elements

    private readonly long pressure;
    private bool disposed;

    /// <summary>What a tensor holds whose native part went to another object.</summary>
    internal static TensorHandle Disposed { get; } = MakeDisposed();

    internal TensorHandle(nint handle, int ownedKib) : base(0, ownsHandle: true)
    {
        SetHandle(handle);
        if (handle == 0) return;
        pressure = ((long)ownedKib << 10) + OwnBytes;
        Memory.Hold(pressure);
    }

    public override bool IsInvalid => handle == 0;

    private static TensorHandle MakeDisposed()
    {
        var empty = new TensorHandle(0, 0);
        empty.Dispose();
        return empty;
    }

    protected override void Dispose(bool disposing)
    {
        disposed |= disposing;
        base.Dispose(disposing);
    }

    protected override bool ReleaseHandle()
    {
        Shim.pa_tensor_release(handle);
        Memory.Release(pressure, byFinalizer: !disposed);
        Tensor.CountReleased();
        return true;
    }
}

/// <summary>One owned reference to an at::Generator.</summary>
internal sealed class GeneratorHandle : SafeHandle
{
    internal GeneratorHandle(nint handle) : base(0, ownsHandle: true) => SetHandle(handle);

    public override bool IsInvalid => handle == 0;

    protected override bool ReleaseHandle()
    {
        Shim.pa_generator_release(handle);
        return true;
    }
}
