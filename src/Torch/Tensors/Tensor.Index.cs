// Reading and writing by index.

using PeftAlign.Torch.Native;

namespace PeftAlign.Torch;

public partial class Tensor
{
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

    public Tensor index_select(long dim, Tensor index) => Aten.index_select.Tensor(this, dim, index);

    public Tensor gather(long dim, Tensor index) => Aten.gather.Tensor(this, dim, index);

    public Tensor take_along_dim(Tensor indices, long dim) => Aten.take_along_dim.Tensor(this, indices, dim);

    public Tensor scatter(long dim, Tensor index, Tensor src) => Aten.scatter.Tensor(this, dim, index, src);

    public Tensor scatter_(long dim, Tensor index, Tensor src) => Changed(Aten.scatter_, dim, index, src);

    public Tensor scatter_add(long dim, Tensor index, Tensor src) => Aten.scatter_add.Tensor(this, dim, index, src);

    public Tensor scatter_add_(long dim, Tensor index, Tensor src) => Changed(Aten.scatter_add_, dim, index, src);

    public Tensor index_add(long dim, Tensor index, Tensor source, Scalar alpha) => Aten.index_add.Tensor(this, dim, index, source, alpha);

    public Tensor index_add_(long dim, Tensor index, Tensor source, Scalar alpha) => Changed(Aten.index_add_, dim, index, source, alpha);

    public Tensor index_copy_(long dim, Tensor index, Tensor source) => Changed(Aten.index_copy_, dim, index, source);

    public Tensor index_put_(Tensor value, params TensorIndex[] indices)
    {
        this[indices] = value;
        return this;
    }

    public Tensor masked_fill(Tensor mask, Scalar value) => Aten.masked_fill.Tensor(this, mask, value);

    public Tensor masked_fill_(Tensor mask, Scalar value) => Changed(Aten.masked_fill_, mask, value);

    public Tensor masked_select(Tensor mask) => Aten.masked_select.Tensor(this, mask);

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
