// The trainable tensors as views of one flat buffer, and their gradients as views of another: norm, clipping, update
// and checkpoint are a few operators over two vectors, however many tensors there are. Where a model computes in bfloat16 these are
// the float32 master weights: the model gets their values rounded once an update, and its gradients are added to the sum in float32.

using PeftAlign.Torch;

namespace PeftAlign.Training;

/// <summary>Trainable tensors in flat storage, those with weight decay first.</summary>
internal sealed class FlatParameters : IDisposable
{
    private const long ProcessorPiece = 1 << 20;

    private readonly List<(string Name, Tensor Tensor)> members = [], leaves = [];
    private readonly Tensor computed, slopes; // what leaves and their gradients are views of

    /// <param name="initial">Name, value and whether the tensor is decayed; values are copied.</param>
    /// <param name="compute">A narrower type that the model computes in; null = the values' own.</param>
    /// <param name="copied">Told of each value after it was copied, for instance to dispose it: two copies of a large model may not fit. Gradients take their memory after the last.</param>
    internal FlatParameters(IEnumerable<(string Name, Tensor Value, bool Decays)> initial, torch.ScalarType? compute = null, Action<Tensor>? copied = null)
    {
        using var scope = torch.NewDisposeScope();
        var sorted = initial.OrderByDescending(p => p.Decays).ThenBy(p => p.Name, StringComparer.Ordinal).ToList();
        if (sorted.Count == 0) throw new ArgumentException("there is nothing to train");
        var first = sorted[0].Value;
        Decayed = sorted.Where(p => p.Decays).Sum(p => p.Value.numel());
        Values = torch.empty([sorted.Sum(p => p.Value.numel())], first.dtype, first.device).DetachFromDisposeScope();
        Gradients = torch.empty_like(Values).DetachFromDisposeScope();
        IsRounded = compute is not null && compute != Values.dtype;
        (computed, slopes) = IsRounded ? (torch.empty_like(Values, compute).DetachFromDisposeScope(), torch.empty_like(Values, compute).DetachFromDisposeScope()) : (Values, Gradients);
        long offset = 0;
        foreach (var (name, value, _) in sorted)
        {
            var (count, shape) = (value.numel(), value.shape);
            Tensor Of(Tensor flat) => flat.narrow(0, offset, count).view(shape);
            using (torch.no_grad()) Of(Values).copy_(value);
            copied?.Invoke(value);
            var leaf = Of(computed).detach().requires_grad_().DetachFromDisposeScope();
            leaf.grad = Of(slopes);
            leaves.Add((name, leaf));
            members.Add((name, IsRounded ? Of(Values).DetachFromDisposeScope() : leaf));
            offset += count;
        }
        Gradients.zero_();
        if (IsRounded) slopes.zero_();
        Round();
    }

    /// <summary>Names of the members that are embeddings, whose moments are never in 8 bits.</summary>
    internal IReadOnlySet<string> Embeddings { get; init; } = new HashSet<string>();

    /// <summary>Whether the model computes with rounded copies.</summary>
    internal bool IsRounded { get; }

    /// <summary>What the model computes with, by name: leaves that require gradients. The members, or their rounded copies.</summary>
    internal IReadOnlyList<(string Name, Tensor Tensor)> Leaves => leaves;

    /// <summary>After the values changed.</summary>
    internal void Round()
    {
        if (!IsRounded) return;
        using var off = torch.no_grad();
        computed.copy_(Values);
    }

    /// <summary>After a backward pass: adds the leaves' gradients to the sum where they are none of its views.</summary>
    internal void Collect()
    {
        if (!IsRounded) return;
        using var off = torch.no_grad();
        // A processor widens all of what it adds first: in one piece that would be another copy of the gradients.
        var piece = Values.device.type == DeviceType.CPU ? ProcessorPiece : Count;
        for (long first = 0; first < Count; first += piece)
        {
            using var scope = torch.NewDisposeScope();
            var n = Math.Min(piece, Count - first);
            Gradients.narrow(0, first, n).add_(slopes.narrow(0, first, n));
        }
        slopes.zero_();
    }

    /// <summary>(P) all values.</summary>
    internal Tensor Values { get; }

    /// <summary>(P) all gradients; a backward pass adds to them, see <see cref="Collect"/>.</summary>
    internal Tensor Gradients { get; }

    /// <summary>The length of all gradients as one vector.</summary>
    internal double GradientNorm()
    {
        // A float32 sum over the whole buffer loses percents of 10^8 squares; sums over rows, joined in double, lose nothing that shows.
        const long row = 1 << 13;
        using var off = torch.no_grad();
        using var scope = torch.NewDisposeScope();
        var whole = Count / row;
        var norms = torch.cat([Gradients.narrow(0, 0, whole * row).view(whole, row).norm(1), Gradients.narrow(0, whole * row, Count % row).norm().view(1)]);
        return norms.to(torch.float64).norm().item<double>();
    }

    /// <summary>How many of the first entries are decayed.</summary>
    internal long Decayed { get; }

    /// <summary>The tensors by name, in full.</summary>
    internal IReadOnlyList<(string Name, Tensor Tensor)> Members => members;

    internal long Count => Values.numel();

    public void Dispose()
    {
        foreach (var (_, tensor) in members.Concat(leaves)) tensor.Dispose();
        foreach (var flat in (Tensor[])[Values, Gradients, computed, slopes]) flat.Dispose();
    }
}
