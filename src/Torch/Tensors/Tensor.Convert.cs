// Between dtypes, devices and .NET memory.

using PeftAlign.Torch.Native;

namespace PeftAlign.Torch;

public partial class Tensor
{
    public Tensor to(torch.ScalarType type, bool copy = false, bool disposeAfter = false, bool non_blocking = false) =>
        Converted(Aten.to_dtype.Tensor(this, type, non_blocking, copy), disposeAfter);

    public Tensor to(torch.Device device, bool copy = false, bool disposeAfter = false, bool non_blocking = false) =>
        Converted(Aten.to_device.Tensor(this, device, dtype, non_blocking, copy), disposeAfter);

    public Tensor to(string device, bool copy = false, bool disposeAfter = false, bool non_blocking = false) =>
        to(new torch.Device(device), copy, disposeAfter, non_blocking);

    public Tensor to(torch.ScalarType type, torch.Device device, bool copy = false, bool disposeAfter = false, bool non_blocking = false) =>
        Converted(Aten.to_device.Tensor(this, device, type, non_blocking, copy), disposeAfter);

    public Tensor to(Tensor other, bool copy = false, bool disposeAfter = false, bool non_blocking = false) =>
        to(other.dtype, other.device, copy, disposeAfter, non_blocking);

    private Tensor Converted(Tensor result, bool disposeAfter)
    {
        if (disposeAfter) Dispose();
        return result;
    }

    public Tensor type_as(Tensor other) => to(other.dtype);

    public Tensor to_type(torch.ScalarType type) => to(type);

    public Tensor cpu() => to(torch.CPU);

    public Tensor cuda(torch.Device? device = null) => to(device ?? torch.CUDA);

    public Tensor @float() => to(torch.ScalarType.Float32);

    public Tensor @double() => to(torch.ScalarType.Float64);

    public Tensor @long() => to(torch.ScalarType.Int64);

    public Tensor @bool() => to(torch.ScalarType.Bool);

    public Tensor bfloat16() => to(torch.ScalarType.BFloat16);

    public Tensor half() => to(torch.ScalarType.Float16);

    public Tensor contiguous() => Aten.contiguous.Tensor(this);

    public Tensor pin_memory() => Aten.pin_memory.Tensor(this);

    public Tensor clone() => Aten.clone.Tensor(this);

    public Tensor detach() => Aten.detach.Tensor(this);

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

    public float ToSingle() => item<float>();

    public double ToDouble() => item<double>();

    public long ToInt64() => item<long>();

    public int ToInt32() => item<int>();

    public bool ToBoolean() => item<bool>();

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

    internal unsafe Span<T> Elements<T>() where T : unmanaged
    {
        var info = Info();
        return new Span<T>(info.Data, checked((int)info.Numel));
    }
}
