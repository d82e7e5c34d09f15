// Views and rearrangements.

using PeftAlign.Torch.Native;

namespace PeftAlign.Torch;

public partial class Tensor
{
    /// <summary>A view of another shape with as many elements; one size may be -1. Fails where the strides do not allow it.</summary>
    public Tensor view(params long[] shape) => Aten.view.Tensor(this, shape);

    /// <summary>A view of the same bytes as another dtype; the last size changes with the bytes of an element.</summary>
    public Tensor view(torch.ScalarType dtype) => Aten.view_dtype.Tensor(this, dtype);

    /// <summary>A view in the shape of <paramref name="other"/>.</summary>
    public Tensor view_as(Tensor other) => view(other.shape);

    /// <summary>The elements in another shape; one size may be -1. A view where the strides allow it, else a copy.</summary>
    public Tensor reshape(params long[] shape) => Aten.reshape.Tensor(this, shape);

    /// <summary>A view broadcast to these sizes: dimensions of size 1 are repeated without a copy, -1 keeps a size, new dimensions come first.</summary>
    public Tensor expand(params long[] sizes) => Aten.expand.Tensor(this, sizes);

    /// <summary>A view broadcast to the shape of <paramref name="other"/>.</summary>
    public Tensor expand_as(Tensor other) => expand(other.shape);

    /// <summary>A copy laid out this many times along each dimension; new dimensions come first.</summary>
    public Tensor repeat(params long[] sizes) => Aten.repeat.Tensor(this, sizes);

    /// <summary>A view with the dimensions in this order.</summary>
    public Tensor permute(params long[] dims) => Aten.permute.Tensor(this, dims);

    /// <summary>A view with two dimensions exchanged.</summary>
    public Tensor transpose(long dim0, long dim1) => Aten.transpose.Tensor(this, dim0, dim1);

    /// <summary>A view of a matrix transposed; of fewer dimensions as it is. Fails with more than two.</summary>
    public Tensor t() => Aten.t.Tensor(this);

    /// <summary>A view without the dimension if its size is 1, or without all dimensions of size 1 where none is given.</summary>
    public Tensor squeeze(long? dim = null) => dim is { } d ? Aten.squeeze_dim.Tensor(this, d) : Aten.squeeze.Tensor(this);

    /// <summary>A view with a new dimension of size 1 at this place.</summary>
    public Tensor unsqueeze(long dim) => Aten.unsqueeze.Tensor(this, dim);

    /// <summary>Joins the dimensions from <paramref name="start_dim"/> to <paramref name="end_dim"/> into one. A view where the strides allow it, else a copy.</summary>
    public Tensor flatten(long start_dim = 0, long end_dim = -1) => Aten.flatten.Tensor(this, start_dim, end_dim);

    /// <summary>A view with one dimension split into these sizes, one of which may be -1.</summary>
    public Tensor unflatten(long dim, params long[] sizes)
    {
        var from = shape;
        var k = (int)(dim < 0 ? dim + from.Length : dim);
        return view([.. from[..k], .. sizes, .. from[(k + 1)..]]);
    }

    /// <summary>A view of <paramref name="length"/> places of a dimension from <paramref name="start"/> on.</summary>
    public Tensor narrow(long dim, long start, long length) => Aten.narrow.Tensor(this, dim, start, length);

    /// <summary>A view of start:finish:step of a dimension; negative numbers count from the end, and bounds beyond the ends are cut to them.</summary>
    public Tensor slice(long dim, long start, long finish, long step) => Aten.slice.Tensor(this, dim, start, finish, step);

    /// <summary>A view of one place of a dimension, which disappears; negative counts from the end.</summary>
    public Tensor select(long dim, long index) => Aten.select.Tensor(this, dim, index);

    /// <summary>Views of <paramref name="size"/> places each along a dimension; the last may be smaller.</summary>
    public Tensor[] split(long size, long dim = 0) => Aten.split.Tensors(this, size, dim);

    /// <summary>Views of these sizes along a dimension; they must add up to its size.</summary>
    public Tensor[] split(long[] sizes, long dim = 0) => Aten.split_with_sizes.Tensors(this, sizes, dim);

    /// <summary>At most this many views of equal size along a dimension; the last may be smaller.</summary>
    public Tensor[] chunk(long chunks, long dim = 0) => Aten.chunk.Tensors(this, chunks, dim);

    /// <summary>Views of each place of a dimension, which disappears.</summary>
    public Tensor[] unbind(long dim = 0) => Aten.unbind.Tensors(this, dim);

    /// <summary>A copy with each element of a dimension repeated in a row; of the flattened tensor where no dimension is given.</summary>
    public Tensor repeat_interleave(long repeats, long? dim = null) => Aten.repeat_interleave.Tensor(this, repeats, dim);

    /// <summary>As <see cref="repeat_interleave(long, long?)"/>, with a count for each element (1-d integers).</summary>
    public Tensor repeat_interleave(Tensor repeats, long? dim = null) => Aten.repeat_interleave_tensor.Tensor(this, repeats, dim);

    /// <summary>A view with a dimension moved to another place; the others keep their order.</summary>
    public Tensor movedim(long source, long destination) => Aten.movedim.Tensor(this, source, destination);

    /// <summary>A copy with the order of these dimensions reversed.</summary>
    public Tensor flip(params long[] dims) => Aten.flip.Tensor(this, dims);

    /// <summary>A copy shifted along dimensions, one shift each; what leaves at the end comes in at the start.</summary>
    public Tensor roll(long[] shifts, long[] dims) => Aten.roll.Tensor(this, shifts, dims);

    /// <summary>A copy of matrices (the last two dimensions) with 0 above a diagonal: 0 the main one, positive above it, negative below.</summary>
    public Tensor tril(long diagonal = 0) => Aten.tril.Tensor(this, diagonal);

    /// <summary>A copy of matrices (the last two dimensions) with 0 below a diagonal: 0 the main one, positive above it, negative below.</summary>
    public Tensor triu(long diagonal = 0) => Aten.triu.Tensor(this, diagonal);

    /// <summary>A view of a diagonal over two dimensions, which disappear; the diagonal is the last dimension. A positive offset lies above the main one.</summary>
    public Tensor diagonal(long offset = 0, long dim1 = 0, long dim2 = 1) => Aten.diagonal.Tensor(this, offset, dim1, dim2);
}
