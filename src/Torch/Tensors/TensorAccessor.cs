// Reading a tensor's elements from .NET.

using System.Collections;

namespace PeftAlign.Torch;

/// <summary>The elements of a tensor in row-major order, copied to the processor if they lie elsewhere.</summary>
public sealed class TensorAccessor<T> : IReadOnlyList<T> where T : unmanaged
{
    private readonly T[]? copy;
    private readonly Tensor tensor;
    private readonly int count;

    internal TensorAccessor(Tensor tensor)
    {
        this.tensor = tensor;
        count = checked((int)tensor.numel());
        if (tensor.device_type == DeviceType.CPU && tensor.is_contiguous()) return;
        using var scope = torch.NewDisposeScope();
        copy = tensor.detach().cpu().contiguous().Elements<T>().ToArray();
    }

    /// <summary>Number of elements.</summary>
    public int Count => count;

    /// <summary>The element at this place of the row-major order; of a contiguous tensor on the processor as it is now.</summary>
    public T this[int index]
    {
        get
        {
            var element = copy is { } c ? c[index] : tensor.Elements<T>()[index];
            GC.KeepAlive(tensor);
            return element;
        }
    }

    /// <summary>A new array of all elements.</summary>
    public T[] ToArray()
    {
        var elements = copy is { } c ? (T[])c.Clone() : tensor.Elements<T>().ToArray();
        GC.KeepAlive(tensor); // often nobody else refers to it, and its memory must not be freed while it is read
        return elements;
    }

    /// <summary>The elements as they are when the enumeration begins.</summary>
    public IEnumerator<T> GetEnumerator() => ((IEnumerable<T>)ToArray()).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}
