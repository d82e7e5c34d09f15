// Between dtypes, devices and .NET memory.

using PeftAlign.Torch.Native;

namespace PeftAlign.Torch;

public partial class Tensor
{
    /// <summary>The elements in another dtype. Where nothing changes, the same native tensor unless <paramref name="copy"/>. Gradients flow.</summary>
    /// <param name="type">The dtype.</param>
    /// <param name="copy">Copies even where nothing changes.</param>
    /// <param name="disposeAfter">Disposes this object afterwards.</param>
    /// <param name="non_blocking">Does not wait for copies between pinned memory and a GPU.</param>
    public Tensor to(torch.ScalarType type, bool copy = false, bool disposeAfter = false, bool non_blocking = false) =>
        Converted(Aten.to_dtype.Tensor(this, type, non_blocking, copy), disposeAfter);

    /// <summary>The elements on another device; otherwise as <see cref="to(torch.ScalarType, bool, bool, bool)"/>.</summary>
    public Tensor to(torch.Device device, bool copy = false, bool disposeAfter = false, bool non_blocking = false) =>
        Converted(Aten.to_device.Tensor(this, device, dtype, non_blocking, copy), disposeAfter);

    /// <summary>The elements on the device of this name; otherwise as <see cref="to(torch.ScalarType, bool, bool, bool)"/>.</summary>
    /// <exception cref="ArgumentException">The text is not cpu, cuda or cuda:N.</exception>
    public Tensor to(string device, bool copy = false, bool disposeAfter = false, bool non_blocking = false) =>
        to(new torch.Device(device), copy, disposeAfter, non_blocking);

    /// <summary>The elements in another dtype on another device; otherwise as <see cref="to(torch.ScalarType, bool, bool, bool)"/>.</summary>
    public Tensor to(torch.ScalarType type, torch.Device device, bool copy = false, bool disposeAfter = false, bool non_blocking = false) =>
        Converted(Aten.to_device.Tensor(this, device, type, non_blocking, copy), disposeAfter);

    /// <summary>The elements in the dtype and on the device of <paramref name="other"/>; otherwise as <see cref="to(torch.ScalarType, bool, bool, bool)"/>.</summary>
    public Tensor to(Tensor other, bool copy = false, bool disposeAfter = false, bool non_blocking = false) =>
        to(other.dtype, other.device, copy, disposeAfter, non_blocking);

    private Tensor Converted(Tensor result, bool disposeAfter)
    {
        if (disposeAfter) Dispose();
        return result;
    }

    /// <summary>The elements in the dtype of <paramref name="other"/>; the device stays.</summary>
    public Tensor type_as(Tensor other) => to(other.dtype);

    /// <summary>The elements in another dtype; the same native tensor where it is that already.</summary>
    public Tensor to_type(torch.ScalarType type) => to(type);

    /// <summary>The elements on the processor; the same native tensor where they lie there already.</summary>
    public Tensor cpu() => to(torch.CPU);

    /// <summary>The elements on a GPU, the first where none is given; the same native tensor where they lie there already.</summary>
    public Tensor cuda(torch.Device? device = null) => to(device ?? torch.CUDA);

    /// <summary>The elements in float32.</summary>
    public Tensor @float() => to(torch.ScalarType.Float32);

    /// <summary>The elements in float64.</summary>
    public Tensor @double() => to(torch.ScalarType.Float64);

    /// <summary>The elements in int64; fractions are cut off.</summary>
    public Tensor @long() => to(torch.ScalarType.Int64);

    /// <summary>The elements as bool: true where they are not 0.</summary>
    public Tensor @bool() => to(torch.ScalarType.Bool);

    /// <summary>The elements in bfloat16.</summary>
    public Tensor bfloat16() => to(torch.ScalarType.BFloat16);

    /// <summary>The elements in float16.</summary>
    public Tensor half() => to(torch.ScalarType.Float16);

    /// <summary>The elements in row-major order without gaps; the same native tensor where they lie so already.</summary>
    public Tensor contiguous() => Aten.contiguous.Tensor(this);

    /// <summary>A copy in page-locked memory, from which a copy to a GPU need not be waited for; the same native tensor where it is pinned already.</summary>
    public Tensor pin_memory() => Aten.pin_memory.Tensor(this);

    /// <summary>A copy with memory of its own; gradients flow to this tensor.</summary>
    public Tensor clone() => Aten.clone.Tensor(this);

    /// <summary>The same memory without the autograd graph: no gradients flow.</summary>
    public Tensor detach() => Aten.detach.Tensor(this);

    /// <summary>Takes this tensor out of the autograd graph, in place. Returns this object.</summary>
    public Tensor detach_()
    {
        Aten.detach_.InPlace(this);
        return this;
    }

    /// <summary>A second object over the same native tensor.</summary>
    public Tensor alias()
    {
        Shim.Check(Shim.pa_tensor_alias(Alive(), out var same), "Tensor.alias");
        return Interop.Wrap(same)!;
    }

    /// <summary>The only element, converted to <typeparamref name="T"/>.</summary>
    /// <exception cref="TorchException">There is not exactly one element.</exception>
    public T item<T>() where T : unmanaged
    {
        if (numel() != 1) throw new TorchException("Tensor.item", Summary, $"item needs exactly one element; there are {numel()}");
        using var scope = torch.NewDisposeScope();
        return to(ScalarTypes.Of(typeof(T)), torch.CPU).contiguous().Elements<T>()[0];
    }

    /// <summary>The only element as float32, by <see cref="item{T}"/>.</summary>
    public float ToSingle() => item<float>();

    /// <summary>The only element as float64, by <see cref="item{T}"/>.</summary>
    public double ToDouble() => item<double>();

    /// <summary>The only element as int64, by <see cref="item{T}"/>; fractions are cut off.</summary>
    public long ToInt64() => item<long>();

    /// <summary>The only element as int32, by <see cref="item{T}"/>; fractions are cut off.</summary>
    public int ToInt32() => item<int>();

    /// <summary>Whether the only element is not 0, by <see cref="item{T}"/>.</summary>
    public bool ToBoolean() => item<bool>();

    /// <summary>The only element as a number of its kind (floating, integer or bool), by <see cref="item{T}"/>.</summary>
    public Scalar ToScalar() => is_floating_point() ? item<double>() : dtype == torch.ScalarType.Bool ? item<bool>() : item<long>();

    /// <summary>The elements in order, on the processor and of exactly this type.</summary>
    /// <exception cref="TorchException">The dtype is another one.</exception>
    public TensorAccessor<T> data<T>() where T : unmanaged
    {
        var wanted = ScalarTypes.Of(typeof(T));
        if (dtype != wanted) throw new TorchException("Tensor.data", Summary, $"the elements are not {wanted}; convert them with to(...) first");
        return new TensorAccessor<T>(this);
    }

    /// <summary>The raw bytes of a contiguous tensor on the processor; valid while the tensor is.</summary>
    public unsafe Span<byte> bytes
    {
        get
        {
            var info = Info();
            if (info.DeviceType != (int)DeviceType.CPU || info.IsContiguous == 0)
                throw new TorchException("Tensor.bytes", Summary, "bytes needs a contiguous tensor on the processor; use cpu().contiguous()");
            return new Span<byte>(info.Data, checked((int)(info.Numel * ((torch.ScalarType)info.Dtype).ElementSize())));
        }
    }

    /// <summary>Address of the first element; valid while the tensor is.</summary>
    public unsafe nint data_ptr() => (nint)Info().Data;

    // Whoever reads them keeps the tensor alive meanwhile, by a dispose scope or GC.KeepAlive.
    internal unsafe Span<T> Elements<T>() where T : unmanaged
    {
        var info = Info();
        return new Span<T>(info.Data, checked((int)info.Numel));
    }
}
