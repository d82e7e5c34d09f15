// Next-token scores of a decoder with a cache. Rows of unequal lengths stand side by side without padding; a prompt is
// computed once for all its samples and beams.

using System.Runtime.InteropServices;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Models.Generation;

/// <summary>Decodes with a model.</summary>
/// <param name="model">The weights.</param>
/// <param name="mode">The adapter.</param>
internal sealed class CachedSession(DecoderModel model, ForwardMode mode) : IDecodeSession
{
    private const long PackRows = 2048;

    private readonly ForwardMode mode = mode with { Alone = true };

    // The token that is asked for is not there yet: transformers' frequencies are those of the tokens before it.
    private readonly Place place = Place.Of(model).BeforeLast;
    private readonly Layer head = Head(model, mode);
    private readonly WholeBlocks? whole = WholeBlocks.Of(model, mode);
    private readonly Fronts fronts = Fronts.Of(model.Spec, mode);
    private KeyValueCache cache = new(model);
    private List<Sequence> sequences = [];

    /// <param name="Ids">All tokens.</param>
    /// <param name="Places">The cache's rows: what the adapter puts before the tokens, then one for each token.</param>
    private sealed record Sequence(List<int> Ids, List<int> Places)
    {
        internal Sequence With(int token, int at) => new([.. Ids, token], [.. Places, at]);

        internal void Add(int token, int at)
        {
            Ids.Add(token);
            Places.Add(at);
        }
    }

    public Tensor Begin(IReadOnlyList<int[]> prompts)
    {
        using var off = torch.no_grad();
        using var scope = torch.NewDisposeScope();
        sequences = [];
        var headers = SharedHeader.Groups(prompts, place.LengthClass is null);
        Computed += headers.Sum(h => h.Rows);
        var groups = headers.ConvertAll(h => h.Group);
        var scores = new List<Tensor>();
        var prefix = cache.Reserve(fronts[null].Prefix); // once for all sequences
        foreach (var pack in Pack.Of(groups, PackRows, place, fronts))
        {
            using (pack)
            {
                var first = cache.Reserve((int)pack.Tokens.size(0));
                pack.Attention = new StoringAttention(pack, cache, first, (prefix, fronts[null].Prefix));
                scores.Add(Scores(model.Answering(pack, mode)));
                foreach (var segment in pack.Segments)
                    foreach (var (from, rows) in SharedHeader.Branches(segment))
                        sequences.Add(new Sequence([.. prompts[sequences.Count]], [.. Enumerable.Range(prefix, segment.Front.Prefix), .. Enumerable.Range(first + segment.Start, segment.Branches[0]), .. Enumerable.Range(first + from, rows)]));
            }
        }
        return torch.cat(scores).MoveToOuterDisposeScope();
    }

    public Tensor Next(IReadOnlyList<int> parents, IReadOnlyList<int> tokens)
    {
        var outgrown = Grow(parents, tokens);
        if (outgrown) return Anew([.. sequences.Select(s => s.Ids.ToArray())]);
        using var off = torch.no_grad();
        using var scope = torch.NewDisposeScope();
        return Scores(Hidden(sequences.ConvertAll(s => (long)s.Ids[^1]), sequences.ConvertAll(s => s.Places))).MoveToOuterDisposeScope();
    }

    /// <summary>Begins with one prompt. What it shares with the start of the one sequence before it is not computed again.</summary>
    /// <returns>(1, V)</returns>
    internal Tensor Resume(int[] prompt)
    {
        // Keys that were turned by a length's own frequencies serve no other length.
        var shared = sequences.Count == 1 && place.LengthClass is null ? Math.Min(prompt.AsSpan().CommonPrefixLength(CollectionsMarshal.AsSpan(sequences[0].Ids)), prompt.Length - 1) : 0;
        if (shared == 0) return Anew([prompt]);
        using var off = torch.no_grad();
        using var scope = torch.NewDisposeScope();
        var (ids, places) = sequences[0];
        places.RemoveRange(places.Count - ids.Count + shared, ids.Count - shared);
        ids.RemoveRange(shared, ids.Count - shared);
        // Each new token is a row of its own that sees the rows before it.
        var last = torch.empty(0);
        for (var at = shared; at < prompt.Length; at += (int)Decoding.FewRows)
        {
            var next = prompt[at..Math.Min(prompt.Length, at + (int)Decoding.FewRows)];
            var pasts = new List<List<int>>();
            foreach (var (token, row) in next.Zip(cache.Take(next.Length, () => places)))
            {
                sequences[0].Add(token, row);
                pasts.Add([.. places]);
            }
            Computed += next.Length;
            last = Hidden([.. next.Select(token => (long)token)], pasts).narrow(0, next.Length - 1, 1);
        }
        return Scores(last).MoveToOuterDisposeScope();
    }

    /// <summary>Prompt tokens that were computed so far.</summary>
    internal long Computed { get; private set; }

    /// <summary>Rows that the cache has memory for.</summary>
    internal long CacheRows => cache.Capacity;

    // (R, d) of rows that each see a past with their own token at its end.
    private Tensor Hidden(List<long> tokens, List<List<int>> pasts)
    {
        var lengths = pasts.ConvertAll(p => (long)p.Count);
        var past = new PastPlaces(Places(pasts), torch.tensor(lengths, device: model.Device));
        using var pack = Pack.Of(new Step(tokens, lengths.ConvertAll(n => n - 1)), place, new CachedAttention(cache, past, whole));
        return model.Forward(pack, mode);
    }

    public void Dispose()
    {
        cache.Dispose();
        whole?.Dispose();
        if (!ReferenceEquals(head.Weight, model.Head)) head.Weight.Dispose();
        if (!ReferenceEquals(head.Bias, model.HeadBias)) head.Bias?.Dispose();
    }

    // Whether keys in the cache were turned by other frequencies than the longer sequence has.
    private bool Grow(IReadOnlyList<int> parents, IReadOnlyList<int> tokens)
    {
        var places = cache.Take(parents.Count, () => parents.Distinct().SelectMany(p => sequences[p].Places));
        var children = parents.GroupBy(p => p).ToDictionary(g => g.Key, g => g.Count());
        var outgrown = false;
        var next = new List<Sequence>(parents.Count);
        for (var k = 0; k < parents.Count; k++)
        {
            var parent = sequences[parents[k]];
            if (place.LengthClass is { } of) outgrown |= of(parent.Places.Count + 1) != of(parent.Places.Count + 2);
            if (children[parents[k]] > 1)
            {
                next.Add(parent.With(tokens[k], places[k]));
                continue;
            }
            parent.Add(tokens[k], places[k]);
            next.Add(parent);
        }
        sequences = next;
        return outgrown;
    }

    private Tensor Anew(IReadOnlyList<int[]> prompts)
    {
        cache.Dispose();
        cache = new KeyValueCache(model);
        return Begin(prompts);
    }

    private Tensor Places(List<List<int>> pasts)
    {
        var longest = pasts.Max(p => p.Count);
        var places = new int[pasts.Count * longest];
        for (var k = 0; k < pasts.Count; k++) pasts[k].CopyTo(places, k * longest);
        return torch.tensor(places, [pasts.Count, longest], device: model.Device);
    }

    // Once, since a changed head makes a matrix of its own, by which a step is one product.
    private static Layer Head(DecoderModel model, ForwardMode mode)
    {
        using var off = torch.no_grad();
        using var scope = torch.NewDisposeScope();
        var form = model.HeadUnder(mode);
        var own = form.Change is { } change ? Deltas.Merged(form.Layer, change) : form.Layer;
        Tensor Kept(Tensor tensor, Tensor? models) => ReferenceEquals(tensor, models) ? tensor : tensor.to(model.Head.dtype).DetachFromDisposeScope();
        return new Layer("", Kept(own.Weight, model.Head), own.Bias is { } bias ? Kept(bias, model.HeadBias) : null) { Alone = true };
    }

    // (R, V) float32 on the processor
    private Tensor Scores(Tensor hidden)
    {
        var logits = head.Product(hidden);
        if (model.Spec.LogitCap is { } cap) logits = logits.div_(cap).tanh().mul_(cap);
        return logits.to(torch.float32).cpu().contiguous();
    }
}
