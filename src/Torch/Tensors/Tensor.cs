// A tensor: lifetime and facts. Names as in TorchSharp, so that code moves between the two by its usings.

using PeftAlign.Torch.Native;

namespace PeftAlign.Torch;

/// <summary>An n-dimensional array of libtorch. Dispose it, or let a dispose scope do so.</summary>
public partial class Tensor : IScoped
{
    private static long total;
    private static long peak;

    internal Tensor(TensorHandle handle)
    {
        this.handle = handle;
        var count = Interlocked.Increment(ref total);
        if (count > Volatile.Read(ref peak)) Volatile.Write(ref peak, count);
        DisposeScopeManager.Register(this);
    }

    private TensorHandle handle;

    /// <summary>A tensor in the place of another one: its native part, and its dispose scope. The other one is empty afterwards.</summary>
    private protected Tensor(Tensor replaced)
    {
        ArgumentNullException.ThrowIfNull(replaced);
        handle = replaced.Alive("Parameter");
        replaced.handle = TensorHandle.Disposed;
        var scope = ((IScoped)replaced).Scope;
        DisposeScope.MoveTo(replaced, null);
        if (scope != null) DisposeScope.MoveTo(this, scope);
    }

    /// <summary>Takes over the native part of <paramref name="other"/>, which is empty afterwards; whoever holds this object sees the new one.</summary>
    internal void Adopt(Tensor other)
    {
        var before = handle;
        handle = other.Alive("Adopt");
        other.handle = TensorHandle.Disposed;
        other.Dispose();
        before.Dispose();
    }

    DisposeScope? IScoped.Scope { get; set; }

    int IScoped.Slot { get; set; }

    /// <summary>Tensors whose native part is alive, over all threads.</summary>
    public static long TotalCount => Interlocked.Read(ref total);

    /// <summary>The largest <see cref="TotalCount"/> so far (approximate where several threads make tensors).</summary>
    public static long PeakCount => Interlocked.Read(ref peak);

    /// <summary>True after Dispose.</summary>
    public bool IsInvalid => handle.IsClosed || handle.IsInvalid;

    /// <summary>The native TensorImpl; valid while this object is.</summary>
    public nint Handle => Alive().DangerousGetHandle();

    /// <summary>The native part, for a call that does not go through an operator.</summary>
    /// <exception cref="DisposedTensorException">It is gone; the message has the two arguments.</exception>
    internal TensorHandle HandleFor(string what, int position = 0) => handle.IsClosed ? throw Errors.Disposed(what, position) : handle;

    internal static void CountReleased() => Interlocked.Decrement(ref total);

    /// <summary>Frees this reference. Autograd keeps its own to what a backward pass needs.</summary>
    public void Dispose()
    {
        ((IScoped)this).Scope?.Remove(this);
        handle.Dispose();
    }

    /// <summary>Hands the tensor to the dispose scope outside the innermost one.</summary>
    public Tensor MoveToOuterDisposeScope()
    {
        var scope = ((IScoped)this).Scope;
        if (scope != null) scope.MoveToOuter(this);
        return this;
    }

    /// <summary>Takes the tensor out of its dispose scope.</summary>
    public Tensor DetachFromDisposeScope()
    {
        DisposeScope.MoveTo(this, null);
        return this;
    }

    /// <summary>A handle to the native tensor that stays valid until DangerousRelease; 0 if disposed.</summary>
    internal nint TryHold()
    {
        var added = false;
        try
        {
            handle.DangerousAddRef(ref added);
        }
        catch (ObjectDisposedException)
        {
            return 0;
        }
        return handle.DangerousGetHandle();
    }

    internal void DangerousRelease() => handle.DangerousRelease();

    private TensorHandle Alive([System.Runtime.CompilerServices.CallerMemberName] string what = "") => HandleFor("Tensor." + what);

    internal TensorInfo Info([System.Runtime.CompilerServices.CallerMemberName] string what = "")
    {
        Shim.Check(Shim.pa_tensor_info_get(Alive(what), out var info), "Tensor." + what);
        return info;
    }

    /// <summary>Sizes of all dimensions.</summary>
    public unsafe long[] shape
    {
        get
        {
            var info = Info();
            var sizes = new ReadOnlySpan<long>(info.Sizes, info.Dims).ToArray();
            GC.KeepAlive(this);
            return sizes;
        }
    }

    /// <summary>Size of one dimension; negative counts from the end.</summary>
    public unsafe long size(int dim)
    {
        var info = Info();
        var k = dim < 0 ? dim + info.Dims : dim;
        if (k < 0 || k >= info.Dims) throw new TorchIndexException("Tensor.size", Summary, $"dimension {dim} of a tensor with {info.Dims}");
        var size = info.Sizes[k];
        GC.KeepAlive(this);
        return size;
    }

    /// <summary>Sizes of all dimensions.</summary>
    public long[] size() => shape;

    /// <summary>Elements to skip for one step along a dimension.</summary>
    public unsafe long stride(int dim)
    {
        var info = Info();
        var k = dim < 0 ? dim + info.Dims : dim;
        if (k < 0 || k >= info.Dims || info.Strides == null) throw new TorchIndexException("Tensor.stride", Summary, $"dimension {dim} of a tensor with {info.Dims}");
        var stride = info.Strides[k];
        GC.KeepAlive(this);
        return stride;
    }

    /// <summary>Number of dimensions; 0 for a single number.</summary>
    public long dim() => Info().Dims;

    /// <summary>Number of dimensions; 0 for a single number.</summary>
    public long ndim => Info().Dims;

    /// <summary>Number of dimensions; 0 for a single number.</summary>
    public long Dimensions => Info().Dims;

    /// <summary>Number of elements: the product of the sizes.</summary>
    public long numel() => Info().Numel;

    /// <summary>Number of elements: the product of the sizes.</summary>
    public long NumberOfElements => Info().Numel;

    /// <summary>Bytes of one element.</summary>
    public long element_size() => dtype.ElementSize();

    /// <summary>Type of the elements.</summary>
    public torch.ScalarType dtype => (torch.ScalarType)Info().Dtype;

    /// <summary>Where the elements lie.</summary>
    public torch.Device device
    {
        get
        {
            var info = Info();
            return info.DeviceType == (int)DeviceType.CPU ? torch.CPU : new torch.Device((DeviceType)info.DeviceType, info.DeviceIndex);
        }
    }

    /// <summary>Kind of device on which the elements lie.</summary>
    public DeviceType device_type => (DeviceType)Info().DeviceType;

    /// <summary>Whether the elements lie on a GPU.</summary>
    public bool is_cuda => Info().DeviceType == (int)DeviceType.CUDA;

    /// <summary>Whether the elements lie in row-major order without gaps.</summary>
    public bool is_contiguous() => Info().IsContiguous != 0;

    /// <summary>True for a leaf of the autograd graph.</summary>
    public bool is_leaf => Info().IsLeaf != 0;

    /// <summary>Whether the elements are float16, float32, float64 or bfloat16.</summary>
    public bool is_floating_point() => dtype is torch.ScalarType.Float16 or torch.ScalarType.Float32 or torch.ScalarType.Float64 or torch.ScalarType.BFloat16;

    /// <summary>How often the tensor was changed in place.</summary>
    public long _version => Info().Version;

    /// <summary>For instance "float32 cpu [2, 3]".</summary>
    internal string Summary => handle.IsClosed ? "disposed" : Summarise();

    private string Summarise()
    {
        if (Shim.pa_tensor_info_get(handle, out var info) != Status.Ok) return "undefined";
        var place = new torch.Device((DeviceType)info.DeviceType, info.DeviceIndex);
        return $"{((torch.ScalarType)info.Dtype).ToString().ToLowerInvariant()} {place} [{string.Join(", ", shape)}]";
    }

    /// <inheritdoc/>
    public override string ToString() => Summary;
}
