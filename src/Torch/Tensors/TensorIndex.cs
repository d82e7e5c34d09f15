// What may stand between the brackets of tensor[...].

namespace PeftAlign.Torch;

/// <summary>One index: a number, a slice, everything that is left, a new dimension, a mask or a tensor of indices.</summary>
public sealed class TensorIndex
{
    private TensorIndex(IndexKind kind) => Kind = kind;

    internal enum IndexKind { Single, Slice, Ellipsis, None, Bool, Tensor }

    internal IndexKind Kind { get; }

    internal long Start { get; private init; }

    internal long? Stop { get; private init; }

    internal long Step { get; private init; } = 1;

    internal Tensor? Indices { get; private init; }

    /// <summary>As many full slices as there are dimensions left.</summary>
    public static TensorIndex Ellipsis { get; } = new(IndexKind.Ellipsis);

    /// <summary>A new dimension of size 1.</summary>
    public static TensorIndex None { get; } = new(IndexKind.None);

    /// <summary>All of a dimension.</summary>
    public static TensorIndex Colon { get; } = Slice();

    /// <summary>start:stop:step; negative numbers count from the end.</summary>
    public static TensorIndex Slice(long? start = null, long? stop = null, long? step = null) =>
        new(IndexKind.Slice) { Start = start ?? 0, Stop = stop, Step = step ?? 1 };

    /// <summary>One place of a dimension, which disappears.</summary>
    public static TensorIndex Single(long index) => new(IndexKind.Single) { Start = index };

    /// <summary>A new dimension of size 1 (true) or 0 (false).</summary>
    public static TensorIndex Bool(bool value) => new(IndexKind.Bool) { Start = value ? 1 : 0 };

    /// <summary>Places by number, or a mask.</summary>
    public static TensorIndex Tensor(Tensor indices) => new(IndexKind.Tensor) { Indices = indices };

    /// <summary>One place of a dimension, which disappears; negative counts from the end.</summary>
    public static implicit operator TensorIndex(long index) => Single(index);

    /// <summary>Places by number, or a mask.</summary>
    public static implicit operator TensorIndex(Tensor indices) => Tensor(indices);

    /// <summary>A slice with step 1: 1..3, ..^1 (all but the last) or .. (all).</summary>
    public static implicit operator TensorIndex(Range range)
    {
        static long? From(Index index) => index.IsFromEnd ? (index.Value == 0 ? null : -index.Value) : index.Value;
        return Slice(From(range.Start) ?? long.MaxValue, From(range.End)); // a start at the end leaves nothing
    }
}
