// Next-token scores of a decoder with a cache. Rows of unequal lengths stand side by side without padding; a prompt is
// computed once for all its samples and beams.

using PeftAlign.Abstractions;
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

    private readonly Place place = Place.Of(model);
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
        var groups = prompts.Select(p => new CompletionGroup(p, [Completion.Of([0])])).ToList(); // the completion asks for the last row's scores
        var scores = new List<Tensor>();
        var prefix = cache.Reserve(fronts[null].Prefix); // once for all sequences
        foreach (var pack in Pack.Of(groups, PackRows, place, fronts))
        {
            using (pack)
            {
                var first = cache.Reserve((int)pack.Tokens.size(0));
                pack.Attention = new StoringAttention(pack.Buckets, cache, first, (prefix, fronts[null].Prefix));
                scores.Add(Scores(model.Forward(pack, mode).index_select(0, pack.HeadRows)));
                foreach (var segment in pack.Segments)
                    sequences.Add(new Sequence([.. prompts[sequences.Count]], [.. Enumerable.Range(prefix, segment.Front.Prefix), .. Enumerable.Range(first + segment.Start, segment.Length)]));
            }
        }
        return torch.cat(scores).MoveToOuterDisposeScope();
    }

    public Tensor Next(IReadOnlyList<int> parents, IReadOnlyList<int> tokens)
    {
        var outgrown = Grow(parents, tokens);
        if (outgrown) return Anew();
        using var off = torch.no_grad();
        using var scope = torch.NewDisposeScope();
        var lengths = sequences.ConvertAll(s => (long)s.Places.Count);
        var past = new PastPlaces(Places(), torch.tensor(lengths, device: model.Device));
        var step = new Step(sequences.ConvertAll(s => (long)s.Ids[^1]), lengths.ConvertAll(n => n - 1));
        using var pack = Pack.Of(step, place, new CachedAttention(cache, past, whole));
        return Scores(model.Forward(pack, mode)).MoveToOuterDisposeScope();
    }

    public void Dispose()
    {
        cache.Dispose();
        whole?.Dispose();
        if (!ReferenceEquals(head.Weight, model.Head)) head.Weight.Dispose();
    }

    // Whether keys in the cache were turned by other frequencies than the longer sequence has.
    private bool Grow(IReadOnlyList<int> parents, IReadOnlyList<int> tokens)
    {
        var first = cache.Reserve(parents.Count);
        var children = parents.GroupBy(p => p).ToDictionary(g => g.Key, g => g.Count());
        var outgrown = false;
        var next = new List<Sequence>(parents.Count);
        for (var k = 0; k < parents.Count; k++)
        {
            var parent = sequences[parents[k]];
            if (place.LengthClass is { } of) outgrown |= of(parent.Places.Count + 1) != of(parent.Places.Count + 2);
            if (children[parents[k]] > 1)
            {
                next.Add(parent.With(tokens[k], first + k));
                continue;
            }
            parent.Add(tokens[k], first + k);
            next.Add(parent);
        }
        sequences = next;
        return outgrown;
    }

    private Tensor Anew()
    {
        cache.Dispose();
        cache = new KeyValueCache(model);
        return Begin([.. sequences.Select(s => s.Ids.ToArray())]);
    }

    private Tensor Places()
    {
        var longest = sequences.Max(s => s.Places.Count);
        var places = new int[sequences.Count * longest];
        for (var k = 0; k < sequences.Count; k++) sequences[k].Places.CopyTo(places, k * longest);
        return torch.tensor(places, [sequences.Count, longest], device: model.Device);
    }

    // Once, since a delta of the head makes a matrix of its own.
    private static Layer Head(DecoderModel model, ForwardMode mode)
    {
        using var off = torch.no_grad();
        using var scope = torch.NewDisposeScope();
        var matrix = model.HeadUnder(mode);
        return new Layer("", ReferenceEquals(matrix, model.Head) ? matrix : matrix.DetachFromDisposeScope());
    }

    // (R, V) float32 on the processor
    private Tensor Scores(Tensor hidden)
    {
        var logits = head.Product(hidden);
        if (model.Spec.LogitCap is { } cap) logits = logits.div_(cap).tanh().mul_(cap);
        return logits.to(torch.float32).cpu().contiguous();
    }
}
