// What a checkpoint says of one tensor before any of its data is read.

using PeftAlign.Torch;

namespace PeftAlign.Models.Checkpoints;

/// <summary>A tensor in a file.</summary>
/// <param name="Name">Its name in the file.</param>
/// <param name="DType">Element type.</param>
/// <param name="Shape">Sizes; empty for a scalar.</param>
/// <param name="File">Path of the file that holds it.</param>
public sealed record StoredTensor(string Name, torch.ScalarType DType, IReadOnlyList<long> Shape, string File)
{
    /// <summary>Number of elements.</summary>
    public long Count
    {
        get
        {
            var product = 1L;
            foreach (var size in Shape) product *= size;
            return product;
        }
    }

    /// <summary>Bytes of its elements.</summary>
    public long Bytes => Count * DType.ElementSize();
}

/// <summary>A tensor that is made when its turn comes to be written, so that a model need not fit into memory.</summary>
/// <param name="Name">Its name in the file.</param>
/// <param name="DType">Element type that <paramref name="Make"/> will return.</param>
/// <param name="Shape">Shape that <paramref name="Make"/> will return.</param>
/// <param name="Make">Makes it; the writer disposes it.</param>
public sealed record PendingTensor(string Name, torch.ScalarType DType, IReadOnlyList<long> Shape, Func<Tensor> Make)
{
    /// <summary>Bytes of its elements.</summary>
    public long Bytes => Shape.Aggregate((long)DType.ElementSize(), (product, size) => product * size);

    /// <summary>A tensor at hand; it stays the caller's.</summary>
    public static PendingTensor Of(string name, Tensor tensor) => new(name, tensor.dtype, tensor.shape, tensor.alias);
}

/// <summary>A file that tensors are read from.</summary>
internal interface ITensorFile : IDisposable
{
    IReadOnlyList<StoredTensor> Tensors { get; }

    /// <summary>The tensor, over the file's memory where that is possible.</summary>
    Tensor Tensor(string name);

    /// <summary>Lets go of what was read of a tensor, where the file's memory holds it.</summary>
    void Forget(string name)
    {
    }
}
