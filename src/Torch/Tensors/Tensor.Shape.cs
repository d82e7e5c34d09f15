// Views and rearrangements.

using PeftAlign.Torch.Native;

namespace PeftAlign.Torch;

public partial class Tensor
{
    public Tensor view(params long[] shape) => Aten.view.Tensor(this, shape);

    public Tensor view(torch.ScalarType dtype) => Aten.view_dtype.Tensor(this, dtype);

    public Tensor view_as(Tensor other) => view(other.shape);

    public Tensor reshape(params long[] shape) => Aten.reshape.Tensor(this, shape);

    public Tensor expand(params long[] sizes) => Aten.expand.Tensor(this, sizes);

    public Tensor expand_as(Tensor other) => expand(other.shape);

    public Tensor repeat(params long[] sizes) => Aten.repeat.Tensor(this, sizes);

    public Tensor permute(params long[] dims) => Aten.permute.Tensor(this, dims);

    public Tensor transpose(long dim0, long dim1) => Aten.transpose.Tensor(this, dim0, dim1);

    public Tensor t() => Aten.t.Tensor(this);

    public Tensor squeeze(long? dim = null) => dim is { } d ? Aten.squeeze_dim.Tensor(this, d) : Aten.squeeze.Tensor(this);

    public Tensor unsqueeze(long dim) => Aten.unsqueeze.Tensor(this, dim);

    public Tensor flatten(long start_dim = 0, long end_dim = -1) => Aten.flatten.Tensor(this, start_dim, end_dim);

    public Tensor unflatten(long dim, params long[] sizes)
    {
        var from = shape;
        var k = (int)(dim < 0 ? dim + from.Length : dim);
        return view([.. from[..k], .. sizes, .. from[(k + 1)..]]);
    }

    public Tensor narrow(long dim, long start, long length) => Aten.narrow.Tensor(this, dim, start, length);

    public Tensor slice(long dim, long start, long finish, long step) => Aten.slice.Tensor(this, dim, start, finish, step);

    public Tensor select(long dim, long index) => Aten.select.Tensor(this, dim, index);

    public Tensor[] split(long size, long dim = 0) => Aten.split.Tensors(this, size, dim);

    public Tensor[] split(long[] sizes, long dim = 0) => Aten.split_with_sizes.Tensors(this, sizes, dim);

    public Tensor[] chunk(long chunks, long dim = 0) => Aten.chunk.Tensors(this, chunks, dim);

    public Tensor[] unbind(long dim = 0) => Aten.unbind.Tensors(this, dim);

    public Tensor repeat_interleave(long repeats, long? dim = null) => Aten.repeat_interleave.Tensor(this, repeats, dim);

    public Tensor repeat_interleave(Tensor repeats, long? dim = null) => Aten.repeat_interleave_tensor.Tensor(this, repeats, dim);

    public Tensor movedim(long source, long destination) => Aten.movedim.Tensor(this, source, destination);

    public Tensor flip(params long[] dims) => Aten.flip.Tensor(this, dims);

    public Tensor roll(long[] shifts, long[] dims) => Aten.roll.Tensor(this, shifts, dims);

    public Tensor tril(long diagonal = 0) => Aten.tril.Tensor(this, diagonal);

    public Tensor triu(long diagonal = 0) => Aten.triu.Tensor(this, diagonal);

    public Tensor diagonal(long offset = 0, long dim1 = 0, long dim2 = 1) => Aten.diagonal.Tensor(this, offset, dim1, dim2);
}
