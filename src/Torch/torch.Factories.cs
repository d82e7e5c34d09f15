// Making tensors, and joining them.

using PeftAlign.Torch.Native;

namespace PeftAlign.Torch;

public static partial class torch
{
    public static Tensor zeros(long[] size, ScalarType? dtype = null, Device? device = null, bool requires_grad = false, string[]? names = null) =>
        Made(Aten.zeros.Tensor(size, dtype ?? DefaultType, Value.None, device), requires_grad, names);

    public static Tensor zeros(params long[] size) => zeros(size, null);

    public static Tensor ones(long[] size, ScalarType? dtype = null, Device? device = null, bool requires_grad = false, string[]? names = null) =>
        Made(Aten.ones.Tensor(size, dtype ?? DefaultType, Value.None, device), requires_grad, names);

    public static Tensor ones(params long[] size) => ones(size, null);

    public static Tensor empty(long[] size, ScalarType? dtype = null, Device? device = null, bool requires_grad = false, string[]? names = null) =>
        Made(Aten.empty.Tensor(size, dtype ?? DefaultType, Value.None, device), requires_grad, names);

    public static Tensor empty(params long[] size) => empty(size, null);

    public static Tensor full(long[] size, Scalar value, ScalarType? dtype = null, Device? device = null, bool requires_grad = false, string[]? names = null) =>
        Made(Aten.full.Tensor(size, value, dtype ?? DefaultType, Value.None, device), requires_grad, names);

    public static Tensor rand(long[] size, ScalarType? dtype = null, Device? device = null, bool requires_grad = false, string[]? names = null, Generator? generator = null) =>
        Made(Aten.rand.Tensor(size, generator, dtype ?? DefaultType, Value.None, device), requires_grad, names);

    public static Tensor rand(params long[] size) => rand(size, null);

    public static Tensor randn(long[] size, ScalarType? dtype = null, Device? device = null, bool requires_grad = false, string[]? names = null, Generator? generator = null) =>
        Made(Aten.randn.Tensor(size, generator, dtype ?? DefaultType, Value.None, device), requires_grad, names);

    public static Tensor randn(params long[] size) => randn(size, null);

    public static Tensor randint(long low, long high, long[] size, ScalarType? dtype = null, Device? device = null, bool requires_grad = false, string[]? names = null, Generator? generator = null) =>
        Made(Aten.randint.Tensor(low, high, size, generator, dtype ?? ScalarType.Int64, Value.None, device), requires_grad, names);

    public static Tensor randperm(long n, ScalarType? dtype = null, Device? device = null, bool requires_grad = false, string[]? names = null, Generator? generator = null) =>
        Made(Aten.randperm.Tensor(n, generator, dtype ?? ScalarType.Int64, Value.None, device), requires_grad, names);

    /// <summary>start, start + step ... below stop; integers stay integers.</summary>
    public static Tensor arange(Scalar start, Scalar stop, Scalar step, ScalarType? dtype = null, Device? device = null, bool requires_grad = false, string[]? names = null) =>
        Made(Aten.arange.Tensor(start, stop, step, dtype, Value.None, device), requires_grad, names);

    public static Tensor arange(Scalar start, Scalar stop, ScalarType? dtype = null, Device? device = null) => arange(start, stop, 1, dtype, device);

    public static Tensor arange(Scalar stop, ScalarType? dtype = null, Device? device = null) => arange(0, stop, 1, dtype, device);

    public static Tensor linspace(double start, double end, long steps, ScalarType? dtype = null, Device? device = null, bool requires_grad = false, string[]? names = null) =>
        Made(Aten.linspace.Tensor(start, end, steps, dtype ?? DefaultType, Value.None, device), requires_grad, names);

    public static Tensor eye(long rows, long columns = -1, ScalarType? dtype = null, Device? device = null, bool requires_grad = false, string[]? names = null) =>
        Made(Aten.eye.Tensor(rows, columns < 0 ? rows : columns, dtype ?? DefaultType, Value.None, device), requires_grad, names);

    public static Tensor zeros_like(Tensor input, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) =>
        Made(Aten.zeros_like.Tensor(input, dtype, Value.None, device), requires_grad, null);

    public static Tensor ones_like(Tensor input, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) =>
        Made(Aten.ones_like.Tensor(input, dtype, Value.None, device), requires_grad, null);

    public static Tensor empty_like(Tensor input, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) =>
        Made(Aten.empty_like.Tensor(input, dtype, Value.None, device), requires_grad, null);

    public static Tensor full_like(Tensor input, Scalar value, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) =>
        Made(Aten.full_like.Tensor(input, value, dtype, Value.None, device), requires_grad, null);

    public static Tensor rand_like(Tensor input, ScalarType? dtype = null, Device? device = null, bool requires_grad = false, Generator? generator = null) =>
        rand(input.shape, dtype ?? input.dtype, device ?? input.device, requires_grad, null, generator);

    public static Tensor randn_like(Tensor input, ScalarType? dtype = null, Device? device = null, bool requires_grad = false, Generator? generator = null) =>
        randn(input.shape, dtype ?? input.dtype, device ?? input.device, requires_grad, null, generator);

    /// <summary>A tensor with a copy of the elements; without <paramref name="dimensions"/> it has one dimension.</summary>
    public static Tensor tensor<T>(IList<T> rawArray, ReadOnlySpan<long> dimensions = default, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) where T : unmanaged
    {
        var shape = dimensions.IsEmpty ? [rawArray.Count] : dimensions.ToArray();
        var elements = shape.Aggregate(1L, (a, b) => a * b);
        if (elements != rawArray.Count) throw new ArgumentException($"{rawArray.Count} elements do not fill the shape [{string.Join(", ", shape)}], which holds {elements}");
        var made = empty(shape, ScalarTypes.Of(typeof(T)));
        var target = made.Elements<T>();
        if (rawArray is T[] array) array.CopyTo(target);
        else for (var k = 0; k < rawArray.Count; k++) target[k] = rawArray[k];
        return Placed(made, dtype, device, requires_grad);
    }

    /// <summary>A tensor without dimensions that holds one number.</summary>
    public static Tensor tensor(Scalar value, ScalarType? dtype = null, Device? device = null, bool requires_grad = false)
    {
        var standard = value.Value.Tag switch { Tag.Double => DefaultType, Tag.Bool => ScalarType.Bool, _ => ScalarType.Int64 };
        return full([], value, dtype ?? standard, device, requires_grad);
    }

    /// <summary>A tensor with the shape and a copy of the elements of a .NET array of any rank.</summary>
    public static Tensor from_array(Array rawArray, ScalarType? dtype = null, Device? device = null, bool requires_grad = false)
    {
        ArgumentNullException.ThrowIfNull(rawArray);
        var shape = Enumerable.Range(0, rawArray.Rank).Select(d => (long)rawArray.GetLength(d)).ToArray();
        var made = empty(shape, ScalarTypes.Of(rawArray.GetType().GetElementType()!));
        var from = System.Runtime.InteropServices.MemoryMarshal.CreateReadOnlySpan(ref System.Runtime.InteropServices.MemoryMarshal.GetArrayDataReference(rawArray), made.bytes.Length);
        from.CopyTo(made.bytes);
        return Placed(made, dtype, device, requires_grad);
    }

    public static Tensor as_tensor<T>(IList<T> data, ScalarType? dtype = null, Device? device = null) where T : unmanaged => tensor(data, default, dtype, device);

    public static Tensor cat(IList<Tensor> tensors, long dim = 0) => Aten.cat.Tensor(tensors.ToArray(), dim);

    public static Tensor stack(IEnumerable<Tensor> tensors, long dim = 0) => Aten.stack.Tensor(tensors.ToArray(), dim);

    public static Tensor where(Tensor condition, Tensor x, Tensor y) => Aten.where.Tensor(condition, x, y);

    public static Tensor einsum(string equation, params Tensor[] tensors) => Aten.einsum.Tensor(equation, tensors);

    private static ScalarType DefaultType => ScalarType.Float32;

    private static Tensor Placed(Tensor made, ScalarType? dtype, Device? device, bool requires_grad)
    {
        var placed = made;
        if (dtype is { } t && t != made.dtype) placed = placed.to(t, disposeAfter: true);
        if (device is { type: not DeviceType.CPU } d) placed = placed.to(d, disposeAfter: true);
        if (requires_grad) placed.requires_grad = true;
        return placed;
    }

    private static Tensor Made(Tensor made, bool requires_grad, string[]? names)
    {
        if (names != null) throw new NotSupportedException("named dimensions are not supported; leave names out");
        if (requires_grad) made.requires_grad = true;
        return made;
    }
}
