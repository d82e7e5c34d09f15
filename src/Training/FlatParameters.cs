// The trainable tensors as views of one flat buffer, and their gradients as views of another: norm, clipping, update
// and checkpoint are a few operators over two vectors, however many tensors there are.

using PeftAlign.Torch;

namespace PeftAlign.Training;

/// <summary>Trainable tensors in flat storage, those with weight decay first.</summary>
internal sealed class FlatParameters : IDisposable
{
    private readonly List<(string Name, Tensor Tensor)> members = [];

    /// <param name="initial">Name, value and whether the tensor is decayed; values are copied.</param>
    internal FlatParameters(IEnumerable<(string Name, Tensor Value, bool Decays)> initial)
    {
        using var scope = torch.NewDisposeScope();
        var sorted = initial.OrderByDescending(p => p.Decays).ThenBy(p => p.Name, StringComparer.Ordinal).ToList();
        if (sorted.Count == 0) throw new ArgumentException("there is nothing to train");
        var first = sorted[0].Value;
        Decayed = sorted.Where(p => p.Decays).Sum(p => p.Value.numel());
        Values = torch.empty([sorted.Sum(p => p.Value.numel())], first.dtype, first.device).DetachFromDisposeScope();
        Gradients = torch.zeros_like(Values).DetachFromDisposeScope();
        long offset = 0;
        foreach (var (name, value, _) in sorted)
        {
            var place = Values.narrow(0, offset, value.numel()).view(value.shape);
            using (torch.no_grad()) place.copy_(value);
            var leaf = place.detach().requires_grad_().DetachFromDisposeScope();
            leaf.grad = Gradients.narrow(0, offset, value.numel()).view(value.shape);
            members.Add((name, leaf));
            offset += value.numel();
        }
    }

    /// <summary>(P) all values.</summary>
    internal Tensor Values { get; }

    /// <summary>(P) all gradients; a backward pass adds to them.</summary>
    internal Tensor Gradients { get; }

    /// <summary>How many of the first entries are decayed.</summary>
    internal long Decayed { get; }

    /// <summary>The tensors by name; leaves that require gradients.</summary>
    internal IReadOnlyList<(string Name, Tensor Tensor)> Members => members;

    internal long Count => Values.numel();

    public void Dispose()
    {
        foreach (var (_, tensor) in members) tensor.Dispose();
        Values.Dispose();
        Gradients.Dispose();
    }
}
