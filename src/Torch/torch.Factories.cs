// Making tensors, and joining them.

using PeftAlign.Torch.Native;

namespace PeftAlign.Torch;

public static partial class torch
{
    /// <summary>Zeros of this shape; float32 on the processor unless told otherwise.</summary>
    /// <exception cref="NotSupportedException"><paramref name="names"/> is given.</exception>
    public static Tensor zeros(long[] size, ScalarType? dtype = null, Device? device = null, bool requires_grad = false, string[]? names = null) =>
        Made(Aten.zeros.Tensor(size, dtype ?? DefaultType, Value.None, device), requires_grad, names);

    /// <summary>Zeros of this shape, float32 on the processor.</summary>
    public static Tensor zeros(params long[] size) => zeros(size, null);

    /// <summary>Ones of this shape; float32 on the processor unless told otherwise.</summary>
    /// <exception cref="NotSupportedException"><paramref name="names"/> is given.</exception>
    public static Tensor ones(long[] size, ScalarType? dtype = null, Device? device = null, bool requires_grad = false, string[]? names = null) =>
        Made(Aten.ones.Tensor(size, dtype ?? DefaultType, Value.None, device), requires_grad, names);

    /// <summary>Ones of this shape, float32 on the processor.</summary>
    public static Tensor ones(params long[] size) => ones(size, null);

    /// <summary>A tensor of this shape whose elements are not set; float32 on the processor unless told otherwise.</summary>
    /// <exception cref="NotSupportedException"><paramref name="names"/> is given.</exception>
    public static Tensor empty(long[] size, ScalarType? dtype = null, Device? device = null, bool requires_grad = false, string[]? names = null) =>
        Made(Aten.empty.Tensor(size, dtype ?? DefaultType, Value.None, device), requires_grad, names);

    /// <summary>A tensor of this shape whose elements are not set, float32 on the processor.</summary>
    public static Tensor empty(params long[] size) => empty(size, null);

    /// <summary>One value throughout; float32 without a dtype, whatever the kind of the value.</summary>
    /// <exception cref="NotSupportedException"><paramref name="names"/> is given.</exception>
    public static Tensor full(long[] size, Scalar value, ScalarType? dtype = null, Device? device = null, bool requires_grad = false, string[]? names = null) =>
        Made(Aten.full.Tensor(size, value, dtype ?? DefaultType, Value.None, device), requires_grad, names);

    /// <summary>Uniform numbers in [0, 1), from the device's default generator unless one is given; float32 without a dtype.</summary>
    /// <exception cref="NotSupportedException"><paramref name="names"/> is given.</exception>
    public static Tensor rand(long[] size, ScalarType? dtype = null, Device? device = null, bool requires_grad = false, string[]? names = null, Generator? generator = null) =>
        Made(Aten.rand.Tensor(size, generator, dtype ?? DefaultType, Value.None, device), requires_grad, names);

    /// <summary>Uniform numbers in [0, 1), float32 on the processor, from its default generator.</summary>
    public static Tensor rand(params long[] size) => rand(size, null);

    /// <summary>Normal numbers of mean 0 and variance 1, from the device's default generator unless one is given; float32 without a dtype.</summary>
    /// <exception cref="NotSupportedException"><paramref name="names"/> is given.</exception>
    public static Tensor randn(long[] size, ScalarType? dtype = null, Device? device = null, bool requires_grad = false, string[]? names = null, Generator? generator = null) =>
        Made(Aten.randn.Tensor(size, generator, dtype ?? DefaultType, Value.None, device), requires_grad, names);

    /// <summary>Normal numbers of mean 0 and variance 1, float32 on the processor, from its default generator.</summary>
    public static Tensor randn(params long[] size) => randn(size, null);

    /// <summary>Whole numbers in [low, high), each equally likely; int64 without a dtype.</summary>
    /// <exception cref="NotSupportedException"><paramref name="names"/> is given.</exception>
    public static Tensor randint(long low, long high, long[] size, ScalarType? dtype = null, Device? device = null, bool requires_grad = false, string[]? names = null, Generator? generator = null) =>
        Made(Aten.randint.Tensor(low, high, size, generator, dtype ?? ScalarType.Int64, Value.None, device), requires_grad, names);

    /// <summary>(n) the numbers 0 ... n - 1 in random order; int64 without a dtype.</summary>
    /// <exception cref="NotSupportedException"><paramref name="names"/> is given.</exception>
    public static Tensor randperm(long n, ScalarType? dtype = null, Device? device = null, bool requires_grad = false, string[]? names = null, Generator? generator = null) =>
        Made(Aten.randperm.Tensor(n, generator, dtype ?? ScalarType.Int64, Value.None, device), requires_grad, names);

    /// <summary>start, start + step ... below stop; integers stay integers.</summary>
    public static Tensor arange(Scalar start, Scalar stop, Scalar step, ScalarType? dtype = null, Device? device = null, bool requires_grad = false, string[]? names = null) =>
        Made(Aten.arange.Tensor(start, stop, step, dtype, Value.None, device), requires_grad, names);

    /// <summary>start, start + 1 ... below stop; integers stay integers.</summary>
    public static Tensor arange(Scalar start, Scalar stop, ScalarType? dtype = null, Device? device = null) => arange(start, stop, 1, dtype, device);

    /// <summary>0, 1 ... below stop; int64 for an integer.</summary>
    public static Tensor arange(Scalar stop, ScalarType? dtype = null, Device? device = null) => arange(0, stop, 1, dtype, device);

    /// <summary>(steps) numbers at equal distances from start to end, both included; float32 without a dtype.</summary>
    /// <exception cref="NotSupportedException"><paramref name="names"/> is given.</exception>
    public static Tensor linspace(double start, double end, long steps, ScalarType? dtype = null, Device? device = null, bool requires_grad = false, string[]? names = null) =>
        Made(Aten.linspace.Tensor(start, end, steps, dtype ?? DefaultType, Value.None, device), requires_grad, names);

    /// <summary>(rows, columns) ones on the diagonal, else zeros; square where <paramref name="columns"/> is negative.</summary>
    /// <exception cref="NotSupportedException"><paramref name="names"/> is given.</exception>
    public static Tensor eye(long rows, long columns = -1, ScalarType? dtype = null, Device? device = null, bool requires_grad = false, string[]? names = null) =>
        Made(Aten.eye.Tensor(rows, columns < 0 ? rows : columns, dtype ?? DefaultType, Value.None, device), requires_grad, names);

    /// <summary>Zeros in the shape of another tensor; in its dtype and on its device unless told otherwise.</summary>
    public static Tensor zeros_like(Tensor input, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) =>
        Made(Aten.zeros_like.Tensor(input, dtype, Value.None, device), requires_grad, null);

    /// <summary>Ones in the shape of another tensor; in its dtype and on its device unless told otherwise.</summary>
    public static Tensor ones_like(Tensor input, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) =>
        Made(Aten.ones_like.Tensor(input, dtype, Value.None, device), requires_grad, null);

    /// <summary>Elements that are not set, in the shape of another tensor; in its dtype and on its device unless told otherwise.</summary>
    public static Tensor empty_like(Tensor input, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) =>
        Made(Aten.empty_like.Tensor(input, dtype, Value.None, device), requires_grad, null);

    /// <summary>One value throughout, in the shape of another tensor; in its dtype and on its device unless told otherwise.</summary>
    public static Tensor full_like(Tensor input, Scalar value, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) =>
        Made(Aten.full_like.Tensor(input, value, dtype, Value.None, device), requires_grad, null);

    /// <summary>Uniform numbers in [0, 1) in the shape of another tensor; in its dtype and on its device unless told otherwise.</summary>
    public static Tensor rand_like(Tensor input, ScalarType? dtype = null, Device? device = null, bool requires_grad = false, Generator? generator = null) =>
        rand(input.shape, dtype ?? input.dtype, device ?? input.device, requires_grad, null, generator);

    /// <summary>Normal numbers of mean 0 and variance 1 in the shape of another tensor; in its dtype and on its device unless told otherwise.</summary>
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

    /// <summary>(n) a copy of the elements, without requires_grad. Unlike PyTorch's it never shares memory.</summary>
    public static Tensor as_tensor<T>(IList<T> data, ScalarType? dtype = null, Device? device = null) where T : unmanaged => tensor(data, default, dtype, device);

    /// <summary>Joins tensors along a dimension that they have; their other sizes are the same.</summary>
    public static Tensor cat(IList<Tensor> tensors, long dim = 0) => Aten.cat.Tensor(tensors.ToArray(), dim);

    /// <summary>Joins tensors of one shape along a new dimension.</summary>
    public static Tensor stack(IEnumerable<Tensor> tensors, long dim = 0) => Aten.stack.Tensor(tensors.ToArray(), dim);

    /// <summary>x where the bool condition is true, else y, elementwise, with broadcasting.</summary>
    public static Tensor where(Tensor condition, Tensor x, Tensor y) => Aten.where.Tensor(condition, x, y);

    /// <summary>Sums of products in Einstein's notation: "bij,bjk-&gt;bik" is a matrix product for each b.</summary>
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
