// Keys and values of all layers, a row of the cache for each token: sequences are lists of rows, so that a prompt is kept once
// for all its samples or beams, and beams change places without a copy. Keys are kept as they were turned.

using PeftAlign.Models.Decoders;
using PeftAlign.Torch;

namespace PeftAlign.Models.Generation;

internal sealed class KeyValueCache(DecoderModel model) : IDisposable
{
    private const long FirstRows = 128;

    private readonly (Tensor Keys, Tensor Values)[] layers = new (Tensor, Tensor)[model.Spec.Layers];
    private readonly Stack<int> free = [];
    private long capacity;

    /// <summary>Rows in use.</summary>
    internal long Count { get; private set; }

    /// <summary>(S, G, D) keys and values of a layer.</summary>
    internal (Tensor Keys, Tensor Values) this[int layer] => layers[layer];

    /// <summary>Keys and values of all layers, one layer after another.</summary>
    internal Tensor[] All => [.. layers.SelectMany(l => (Tensor[])[l.Keys, l.Values])];

    /// <summary>Rows that there is memory for.</summary>
    internal long Capacity => capacity;

    /// <summary>Takes a row for the next token of each of some sequences: where memory ends, first what no sequence uses any more.</summary>
    /// <param name="rows">How many.</param>
    /// <param name="inUse">The rows of all sequences that go on.</param>
    internal int[] Take(int rows, Func<IEnumerable<int>> inUse)
    {
        if (free.Count < rows && Count + rows - free.Count > capacity) Release(inUse());
        var taken = new int[rows];
        for (var k = 0; k < rows; k++) taken[k] = free.Count > 0 ? free.Pop() : Reserve(1);
        return taken;
    }

    /// <summary>Takes rows side by side for new tokens.</summary>
    /// <returns>The first of them.</returns>
    internal int Reserve(int rows)
    {
        var first = Count;
        Count += rows;
        if (Count > capacity) Grow();
        return checked((int)first);
    }

    private void Release(IEnumerable<int> inUse)
    {
        var used = new bool[Count];
        foreach (var row in inUse) used[row] = true;
        free.Clear();
        for (var row = used.Length - 1; row >= 0; row--)
            if (!used[row]) free.Push(row);
    }

    public void Dispose()
    {
        foreach (var (keys, values) in layers)
        {
            keys?.Dispose();
            values?.Dispose();
        }
    }

    // Half as much again: what is copied in all stays in proportion to what is kept.
    private void Grow()
    {
        var old = capacity;
        capacity = Math.Max(Math.Max(FirstRows, Count), capacity + capacity / 2);
        for (var l = 0; l < layers.Length; l++) layers[l] = (Longer(layers[l].Keys, old), Longer(layers[l].Values, old));
    }

    private Tensor Longer(Tensor? part, long old)
    {
        var longer = torch.empty([capacity, model.Spec.KeyValueHeads, model.Spec.HeadWidth], model.Head.dtype, model.Device).DetachFromDisposeScope();
        if (part is null) return longer;
        using var scope = torch.NewDisposeScope();
        longer.narrow(0, 0, old).copy_(part.narrow(0, 0, old));
        part.Dispose();
        return longer;
    }
}
