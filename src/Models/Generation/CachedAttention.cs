// Attention through a cache: a pass over prompts stores what it computes; a decoding step sees what is stored.

using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Models.Generation;

/// <summary>The pass over prompts: attention within the groups, keys and values kept.</summary>
/// <param name="pack">The rows: their groups attend as in any pass.</param>
/// <param name="cache">Where to keep.</param>
/// <param name="first">The cache's row of the pass's first row.</param>
/// <param name="prefix">The cache's rows (first, count) of the keys and values before the text.</param>
internal sealed class StoringAttention(Pack pack, KeyValueCache cache, int first, (int First, int Count) prefix) : IRowAttention
{
    private readonly BucketAttention groups = new(pack.Runs, pack.Buckets);

    public Tensor Attend(int layer, Tensor q, Tensor k, Tensor v, AttentionForm form)
    {
        var rows = k.size(0);
        using (torch.NewDisposeScope())
        {
            cache[layer].Keys.narrow(0, first, rows).copy_(form.Rotary?.Turn(k) ?? k);
            cache[layer].Values.narrow(0, first, rows).copy_(v);
            if (form.Prefix is var (keys, values))
            {
                cache[layer].Keys.narrow(0, prefix.First, prefix.Count).copy_(keys.narrow(0, 0, prefix.Count));
                cache[layer].Values.narrow(0, prefix.First, prefix.Count).copy_(values.narrow(0, 0, prefix.Count));
            }
        }
        return groups.Attend(layer, q, k, v, form);
    }

    public bool LeavesOut(Tensor x, AttentionForm form) => groups.LeavesOut(x, form);
}

/// <summary>One new token of each sequence.</summary>
/// <param name="cache">Keys and values, with a row for each new token.</param>
/// <param name="past">Where each sequence lies.</param>
/// <param name="whole">Computes all blocks at once; null where the decoder composes them.</param>
internal sealed class CachedAttention(KeyValueCache cache, PastPlaces past, WholeBlocks? whole = null) : IRowAttention, IAllBlocks
{
    public Tensor? Blocks(Tensor x, Rotary?[] rotary) => whole?.Forward(x, rotary, cache, past);

    public Tensor Attend(int layer, Tensor q, Tensor k, Tensor v, AttentionForm form) =>
        Decoding.HasAttention(q.device, q.dtype)
            ? Decoding.Attention(q, k, v, cache[layer], past, form.Rotary?.Cos, form.Rotary?.Sin, form.Scale, form.Cap, form.Window)
            : Composed(q, k, v, cache[layer], past, form);

    /// <summary>The same with libtorch's operators, for any device and dtype.</summary>
    internal static Tensor Composed(Tensor q, Tensor k, Tensor v, (Tensor Keys, Tensor Values) cache, PastPlaces past, AttentionForm form)
    {
        using var scope = torch.NewDisposeScope();
        var (rows, heads, groups, width, longest) = (q.size(0), q.size(1), k.size(1), q.size(2), past.Places.size(1));
        var (places, lengths) = (past.Places.to(torch.int64), past.Lengths.unsqueeze(1)); // (R, L), (R, 1)
        var own = places.gather(1, lengths - 1).flatten();
        cache.Keys.index_copy_(0, own, form.Rotary?.Turn(k) ?? k);
        cache.Values.index_copy_(0, own, v);
        var at = torch.arange(longest, device: q.device).unsqueeze(0); // (1, L)
        var hidden = at.ge(lengths);
        if (form.Window is { } window) hidden = hidden.logical_or(at.lt(lengths - window));
        var seen = places.masked_fill(hidden, 0).flatten();
        Tensor Gathered(Tensor part) => part.index_select(0, seen).view(rows, longest, groups, width).permute(0, 2, 1, 3); // (R, G, L, D)
        var queries = (form.Rotary?.Turn(q) ?? q).view(rows, groups, heads / groups, width) * form.Scale;
        var scores = queries.matmul(Gathered(cache.Keys).transpose(2, 3)); // (R, G, r, L)
        if (form.Cap is { } cap) scores = scores.div_(cap).tanh().mul_(cap);
        var probs = scores.masked_fill(hidden.view(rows, 1, 1, longest), double.NegativeInfinity).softmax(-1);
        return probs.matmul(Gathered(cache.Values)).reshape(rows, heads, width).MoveToOuterDisposeScope();
    }
}
