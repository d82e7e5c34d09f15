// Reading and writing by index.

using PeftAlign.Torch.Native;

namespace PeftAlign.Torch;

public partial class Tensor
{
    /// <summary>
    /// What the indices choose, one index per dimension from the first on; dimensions without one are taken whole. Reading gives a view, but a
    /// copy where an index is a tensor; gradients flow. Writing changes this tensor in place; the value is broadcast.
    /// </summary>
    /// <param name="indices">Numbers, slices, new dimensions, masks and tensors of indices, which are broadcast against each other.</param>
    public Tensor this[params TensorIndex[] indices]
    {
        get
        {
            using var scope = torch.NewDisposeScope();
            var (view, tensors) = Apply(indices);
            return (tensors is null ? view : Aten.index.Tensor(view, tensors)).MoveToOuterDisposeScope();
        }
        set
        {
            using var scope = torch.NewDisposeScope();
            var (view, tensors) = Apply(indices);
            if (tensors is null) view.copy_(value);
            else Aten.index_put_.InPlace(view, tensors, value, false);
        }
    }

    /// <summary>One place of each of the first dimensions, which disappear; negative counts from the end. Reading gives a view, writing is in place.</summary>
    public Tensor this[params long[] indices]
    {
        get => this[indices.Select(i => TensorIndex.Single(i)).ToArray()];
        set => this[indices.Select(i => TensorIndex.Single(i)).ToArray()] = value;
    }

    // Slices, single places and new dimensions are views; index tensors are left for one gathering operator.
    private (Tensor View, Tensor?[]? Tensors) Apply(TensorIndex[] indices)
    {
        var view = alias();
        var gathered = new List<Tensor?>();
        var consumed = indices.Sum(Consumes);
        long dim = 0;
        foreach (var index in indices)
        {
            switch (index.Kind)
            {
                case TensorIndex.IndexKind.Single:
                    view = view.select(dim, index.Start);
                    break;
                case TensorIndex.IndexKind.Slice:
                    view = view.slice(dim++, index.Start, index.Stop ?? long.MaxValue, index.Step);
                    break;
                case TensorIndex.IndexKind.Ellipsis:
                    dim += Math.Max(0, ndim - consumed);
                    break;
                case TensorIndex.IndexKind.None:
                    view = view.unsqueeze(dim++);
                    break;
                case TensorIndex.IndexKind.Bool:
                    view = view.unsqueeze(dim).narrow(dim, 0, index.Start);
                    dim++;
                    break;
                case TensorIndex.IndexKind.Tensor:
                    while (gathered.Count < dim) gathered.Add(null);
                    gathered.Add(index.Indices);
                    dim += Consumes(index);
                    break;
            }
        }
        return (view, gathered.Count == 0 ? null : gathered.ToArray());
    }

    private static int Consumes(TensorIndex index) => index.Kind switch
    {
        TensorIndex.IndexKind.Single or TensorIndex.IndexKind.Slice => 1,
        TensorIndex.IndexKind.Tensor => index.Indices!.dtype is torch.ScalarType.Bool or torch.ScalarType.Byte ? (int)index.Indices.ndim : 1,
        _ => 0,
    };

    /// <summary>The places <paramref name="index"/> (1-d, integers) of a dimension, as a copy; its size becomes the length of the index.</summary>
    public Tensor index_select(long dim, Tensor index) => Aten.index_select.Tensor(this, dim, index);

    /// <summary>out[..., i, ...] = this[..., index[..., i, ...], ...] along a dimension; shape of <paramref name="index"/> (int64).</summary>
    public Tensor gather(long dim, Tensor index) => Aten.gather.Tensor(this, dim, index);

    /// <summary>As <see cref="gather"/>, but the other dimensions of this tensor and <paramref name="indices"/> are broadcast.</summary>
    public Tensor take_along_dim(Tensor indices, long dim) => Aten.take_along_dim.Tensor(this, indices, dim);

    /// <summary>A copy with out[..., index[..., i, ...], ...] = src[..., i, ...] along a dimension; of places named twice one value stays, which is not defined.</summary>
    public Tensor scatter(long dim, Tensor index, Tensor src) => Aten.scatter.Tensor(this, dim, index, src);

    /// <summary>As <see cref="scatter"/>, in place.</summary>
    public Tensor scatter_(long dim, Tensor index, Tensor src) => Changed(Aten.scatter_, dim, index, src);

    /// <summary>A copy with src[..., i, ...] added to out[..., index[..., i, ...], ...] along a dimension; places named twice get the sum.</summary>
    public Tensor scatter_add(long dim, Tensor index, Tensor src) => Aten.scatter_add.Tensor(this, dim, index, src);

    /// <summary>As <see cref="scatter_add"/>, in place.</summary>
    public Tensor scatter_add_(long dim, Tensor index, Tensor src) => Changed(Aten.scatter_add_, dim, index, src);

    /// <summary>A copy with alpha * source[..., i, ...] added to place index[i] of a dimension; places named twice get the sum.</summary>
    public Tensor index_add(long dim, Tensor index, Tensor source, Scalar alpha) => Aten.index_add.Tensor(this, dim, index, source, alpha);

    /// <summary>As <see cref="index_add"/>, in place.</summary>
    public Tensor index_add_(long dim, Tensor index, Tensor source, Scalar alpha) => Changed(Aten.index_add_, dim, index, source, alpha);

    /// <summary>Puts source[..., i, ...] in place index[i] of a dimension, in place.</summary>
    public Tensor index_copy_(long dim, Tensor index, Tensor source) => Changed(Aten.index_copy_, dim, index, source);

    /// <summary>this[indices] = value, in place. Returns this object.</summary>
    public Tensor index_put_(Tensor value, params TensorIndex[] indices)
    {
        this[indices] = value;
        return this;
    }

    /// <summary>A copy with <paramref name="value"/> where the mask (bool, broadcast) is true; there no gradient flows.</summary>
    public Tensor masked_fill(Tensor mask, Scalar value) => Aten.masked_fill.Tensor(this, mask, value);

    /// <summary>As <see cref="masked_fill"/>, in place.</summary>
    public Tensor masked_fill_(Tensor mask, Scalar value) => Changed(Aten.masked_fill_, mask, value);

    /// <summary>The elements where the mask (bool, broadcast) is true, in row-major order: a 1-d copy.</summary>
    public Tensor masked_select(Tensor mask) => Aten.masked_select.Tensor(this, mask);

    /// <summary>Indices of the elements that are not 0, in row-major order: (count, dimensions) int64.</summary>
    public Tensor nonzero() => Aten.nonzero.Tensor(this);

    private Tensor Changed(Operator op, Value a = default, Value b = default, Value c = default, Value d = default)
    {
        // Trailing values that were not given stay with the schema's defaults.
        if (d.Tag != Tag.None) op.InPlace(this, a, b, c, d);
        else if (c.Tag != Tag.None) op.InPlace(this, a, b, c);
        else if (b.Tag != Tag.None) op.InPlace(this, a, b);
        else if (a.Tag != Tag.None) op.InPlace(this, a);
        else op.InPlace(this);
        return this;
    }
}
