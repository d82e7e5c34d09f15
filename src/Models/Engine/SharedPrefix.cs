// What many groups begin with, computed once: the solved examples in front of every item of a benchmark's task. Its keys and
// values are kept; the rows behind it attend to them and to their own group. Without gradients.

using PeftAlign.Abstractions;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Generation;
using PeftAlign.Torch;

namespace PeftAlign.Models.Engine;

/// <summary>The keys and values of tokens that groups begin with.</summary>
public sealed class SharedPrefix : IDisposable
{
    private readonly int[] ids;
    private readonly KeyValueCache cache;
    private readonly long? window;

    internal SharedPrefix(DecoderModel model, ForwardMode mode, Place place, int[] ids)
    {
        (this.ids, cache) = (ids, new KeyValueCache(model));
        window = place.Windows.Min();
        using var off = torch.no_grad();
        using var scope = torch.NewDisposeScope();
        // The pass wants a completion; its token needs no row.
        using var pack = Pack.Of([new CompletionGroup(ids, [Completion.Of([0])])], ids.Length, place).Single();
        pack.Attention = new StoringAttention(pack, cache, cache.Reserve(ids.Length), (0, 0));
        model.Answering(pack, mode with { Alone = true }).Dispose();
    }

    /// <summary>Tokens of the prefix.</summary>
    public int Length => ids.Length;

    /// <summary>Whether a sequence begins with the prefix, goes on behind it, and is seen whole by every layer.</summary>
    /// <param name="context">The sequence's context.</param>
    /// <param name="continuation">Tokens that follow the context.</param>
    public bool Fits(int[] context, int continuation) =>
        context.Length > ids.Length && context.AsSpan().StartsWith(ids) && !(context.Length + continuation > window);

    /// <summary>(P, G, D) keys, turned, and values of a layer.</summary>
    internal (Tensor Keys, Tensor Values) this[int layer] => (cache[layer].Keys.narrow(0, 0, ids.Length), cache[layer].Values.narrow(0, 0, ids.Length));

    /// <inheritdoc/>
    public void Dispose() => cache.Dispose();
}

/// <summary>Rows see the shared prefix and the rows of their own group.</summary>
internal sealed class PrefixAttention(IReadOnlyList<Bucket> buckets, SharedPrefix prefix) : IRowAttention
{
    public Tensor Attend(int layer, Tensor q, Tensor k, Tensor v, AttentionForm form)
    {
        var output = torch.empty(q.shape, q.dtype, q.device);
        using var scope = torch.NewDisposeScope();
        var (qr, kr, groups) = (form.Rotary?.Turn(q) ?? q, form.Rotary?.Turn(k) ?? k, k.size(1));
        var before = prefix[layer];
        var keys = before.Keys.permute(1, 2, 0); // (G, D, P)
        var values = before.Values.permute(1, 0, 2); // (G, P, D)
        foreach (var bucket in buckets)
        {
            using var inner = torch.NewDisposeScope();
            var (shape, places) = (bucket.Shape, bucket.Places);
            var queries = shape.Queries(qr, places, groups); // (B G, r T, D)
            var own = Capped(queries.bmm(shape.Keys(kr, places).transpose(1, 2)), form); // (B G, r T, T)
            own.view(shape.Batch, -1, shape.Width, shape.Width).add_(bucket.Mask(form.Window));
            var shared = Capped(ByGroup(queries, shape.Batch, groups).bmm(keys), form); // (G, B r T, P)
            var all = torch.cat([ByRow(shared, shape.Batch, groups), own], -1).softmax(-1); // (B G, r T, P + T)
            var (toPrefix, toOwn) = (all.narrow(-1, 0, prefix.Length), all.narrow(-1, prefix.Length, shape.Width));
            var mixed = ByRow(ByGroup(toPrefix, shape.Batch, groups).bmm(values), shape.Batch, groups) + toOwn.bmm(shape.Keys(v, places));
            shape.Store(output, places, mixed);
        }
        return output;
    }

    private static Tensor Capped(Tensor scores, AttentionForm form)
    {
        scores.mul_(form.Scale);
        return form.Cap is { } cap ? scores.div_(cap).tanh().mul_(cap) : scores;
    }

    // (B G, n, x) -> (G, B n, x): all sequences at once, since they share the prefix's keys.
    private static Tensor ByGroup(Tensor x, long batch, long groups) =>
        batch == 1 ? x : x.reshape(batch, groups, x.size(1), x.size(2)).transpose(0, 1).reshape(groups, -1, x.size(2));

    private static Tensor ByRow(Tensor x, long batch, long groups) =>
        batch == 1 ? x : x.view(groups, batch, -1, x.size(2)).transpose(0, 1).reshape(batch * groups, -1, x.size(2));
}
