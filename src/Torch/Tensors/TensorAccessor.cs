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

    public int Count => count;

    public T this[int index] => copy is { } c ? c[index] : tensor.Elements<T>()[index];

    public T[] ToArray() => copy is { } c ? (T[])c.Clone() : tensor.Elements<T>().ToArray();

    public IEnumerator<T> GetEnumerator() => ((IEnumerable<T>)ToArray()).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}
