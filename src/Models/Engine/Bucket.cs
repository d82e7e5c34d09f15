// Consecutive groups whose attention is one batched product. Short groups are padded to the longest of their bucket,
// since a product of their own would cost more in calls than the padding in arithmetic; a long group has its own bucket.

using PeftAlign.Models.Decoders;
using PeftAlign.Torch;

namespace PeftAlign.Models.Engine;

/// <summary>Where a bucket's rows lie: B groups of at most T rows each, from row Start on.</summary>
internal sealed record BucketShape(int Start, int Rows, int Batch, int Width)
{
    /// <summary>The first of the P keys and values that stand before the rows of each group, among all such.</summary>
    internal int FirstPrefix { get; init; }

    /// <summary>P.</summary>
    internal int Prefix { get; init; }

    /// <summary>(B G, P + T, D): the bucket's prefix, the same for each group, before its own keys or values.</summary>
    /// <param name="prefixes">(prefixes of all, G, D); null where the bucket has none.</param>
    /// <param name="x">(R, G, D) of the whole pack.</param>
    /// <param name="places">See <see cref="Padded"/>.</param>
    internal Tensor Keys(Tensor? prefixes, Tensor x, Tensor? places)
    {
        var own = Keys(x, places);
        if (Prefix == 0) return own;
        var before = prefixes!.narrow(0, FirstPrefix, Prefix).transpose(0, 1); // (G, P, D)
        return torch.cat([before.unsqueeze(0).expand(Batch, -1, -1, -1).reshape(-1, Prefix, x.size(2)), own], 1);
    }

    /// <summary>Adds a gradient by (B G, P + T, D) to the prefixes' and writes the rows' own.</summary>
    internal void StoreKeys(Tensor? prefixes, Tensor target, Tensor? places, Tensor x)
    {
        if (Prefix == 0)
        {
            Store(target, places, x);
            return;
        }
        var heads = target.size(1);
        prefixes!.narrow(0, FirstPrefix, Prefix).add_(x.narrow(1, 0, Prefix).view(Batch, heads, Prefix, -1).sum(0).transpose(0, 1));
        Store(target, places, x.narrow(1, Prefix, Width).contiguous());
    }

    /// <summary>(rows, H, D) -> (B, T, H, D); rows that pad are 0. A single group is a view.</summary>
    /// <param name="x">(R, H, D) of the whole pack.</param>
    /// <param name="places">(rows) int64 each row's place among the B T padded ones; null for a single group.</param>
    internal Tensor Padded(Tensor x, Tensor? places)
    {
        var own = x.narrow(0, Start, Rows);
        if (places is null) return own.unsqueeze(0);
        var (heads, width) = (x.size(1), x.size(2));
        var padded = torch.zeros([(long)Batch * Width, heads, width], x.dtype, x.device);
        return padded.index_copy_(0, places, own).view(Batch, Width, heads, width);
    }

    /// <summary>(B G, r T, D): the r = H / G query heads of a group of heads stand together and share its keys.</summary>
    internal Tensor Queries(Tensor x, Tensor? places, long groups) =>
        Padded(x, places).view(Batch, Width, groups, -1, x.size(2)).permute(0, 2, 3, 1, 4).reshape(Batch * groups, -1, x.size(2));

    /// <summary>(B G, T, D)</summary>
    internal Tensor Keys(Tensor x, Tensor? places) =>
        Padded(x, places).transpose(1, 2).reshape(-1, Width, x.size(2));

    /// <summary>Writes (B heads, T, D), in any grouping of its first dimensions, to the bucket's rows of (R, heads, D).</summary>
    internal void Store(Tensor target, Tensor? places, Tensor x)
    {
        var (heads, width) = (target.size(1), target.size(2));
        var rows = x.view(Batch, heads, Width, width).transpose(1, 2).reshape(-1, heads, width); // (B T, heads, D)
        target.narrow(0, Start, Rows).copy_(places is null ? rows : rows.index_select(0, places));
    }
}

/// <summary>A bucket with what attention needs of it.</summary>
internal sealed class Bucket : IDisposable
{
    // Padding entries of the score matrix that a bucket fewer is worth, times the queries' columns. No sharp optimum: 16
    // groups of 35 to 70 rows at 64 columns took about 5 % less for a whole training step than with a bucket for each.
    private const long PaddingWork = 800_000;

    private readonly Dictionary<long, Tensor> masks = []; // by window, made when a layer asks; 0 = none
    private readonly List<Segment> segments;
    private readonly Place place;
    private readonly int longest;
    private Tensor? rows;

    private Bucket(List<Segment> segments, Place place)
    {
        var width = segments.Max(s => s.Length);
        var front = segments[0].Front;
        Shape = new BucketShape(segments[0].Start, segments.Sum(s => s.Length), segments.Count, width) { FirstPrefix = front.FirstPrefix, Prefix = front.Prefix };
        // A window that no sequence outgrows hides nothing.
        longest = front.Prefix + segments.Max(s => s.Positions);
        (this.segments, this.place) = (segments, place);
    }

    internal BucketShape Shape { get; }

    /// <summary>(rows) int64, see <see cref="BucketShape.Padded"/>; null for a single group.</summary>
    internal Tensor? Places => segments.Count == 1 ? null : rows ??= torch.tensor(
        segments.SelectMany((s, b) => Enumerable.Range(0, s.Length).Select(t => (long)b * Shape.Width + t)).ToArray(), device: place.Device).DetachFromDisposeScope();

    /// <summary>(1 or B, 1, T, P + T) in the model's dtype: 0 where a row sees another, -inf where not; shared by all layers of one window.</summary>
    /// <param name="window">One of the place's windows.</param>
    internal Tensor Mask(long? window)
    {
        var seen = Effective(window);
        if (masks.TryGetValue(seen ?? 0, out var known)) return known;
        return masks[seen ?? 0] = AreChains ? CausalMask(Shape.Width, Shape.Prefix, seen, place) : TreeMask(segments, Shape.Width, seen, place);
    }

    /// <summary>Whether every row sees the rows up to its own and nothing else, so that no mask is needed.</summary>
    /// <param name="window">As there.</param>
    internal bool IsCausal(long? window) => Shape.Prefix == 0 && Effective(window) is null && AreChains;

    private bool AreChains => segments.TrueForAll(s => s.IsChain && s.Hidden.Count == 0);

    private long? Effective(long? window) => window < longest ? window : null;

    /// <summary>Puts groups into buckets, in order; those of a bucket have the same prefix.</summary>
    /// <param name="segments">The groups of a pack.</param>
    /// <param name="place">Device, dtype and width of the attention.</param>
    internal static IReadOnlyList<Bucket> Of(IReadOnlyList<Segment> segments, Place place)
    {
        var worth = PaddingWork / Math.Max(1, place.QueryWidth);
        var buckets = new List<Bucket>();
        var open = new List<Segment>();
        long width = 0;
        foreach (var segment in segments)
        {
            var wider = Math.Max(width, segment.Length);
            var padding = (open.Count + 1) * wider * wider - open.Count * width * width - (long)segment.Length * segment.Length;
            if (open.Count > 0 && (padding > worth || Prefix(segment) != Prefix(open[0])))
            {
                buckets.Add(new Bucket(open, place));
                open = [];
                wider = segment.Length;
            }
            open.Add(segment);
            width = wider;
        }
        if (open.Count > 0) buckets.Add(new Bucket(open, place));
        return buckets;
    }

    private static (int, int) Prefix(Segment segment) => segment.Front.Prefix == 0 ? default : (segment.Front.FirstPrefix, segment.Front.Prefix);

    public void Dispose()
    {
        rows?.Dispose();
        foreach (var mask in masks.Values) mask.Dispose();
    }

    // Padding stands behind the rows, so the causal mask of the widest group serves all.
    private static Tensor CausalMask(int width, int prefix, long? window, Place place)
    {
        using var scope = torch.NewDisposeScope();
        var hidden = torch.full([width, prefix + width], float.NegativeInfinity, place.Type, place.Device);
        var mask = window is { } w ? hidden.triu(prefix + 1) + hidden.tril(prefix - w) : hidden.triu(prefix + 1);
        return mask.view(1, 1, width, prefix + width).DetachFromDisposeScope();
    }

    private static Tensor TreeMask(List<Segment> segments, int width, long? window, Place place)
    {
        using var scope = torch.NewDisposeScope();
        var columns = segments[0].Front.Prefix + width;
        var mask = new float[segments.Count * width * columns];
        Array.Fill(mask, float.NegativeInfinity);
        for (var b = 0; b < segments.Count; b++) segments[b].Show(mask.AsSpan(b * width * columns, width * columns), width, window);
        return torch.tensor(mask, [segments.Count, 1, width, columns], device: place.Device).to(place.Type).DetachFromDisposeScope();
    }
}

/// <summary>What a pack is made for.</summary>
/// <param name="Device">Where it lies.</param>
/// <param name="Type">The model's dtype.</param>
/// <param name="QueryWidth">Columns of the queries: heads times head width.</param>
internal sealed record Place(torch.Device Device, torch.ScalarType Type, long QueryWidth)
{
    /// <summary>The windows of the model's layers, each once; null = none.</summary>
    internal IReadOnlyList<long?> Windows { get; init; } = [null];

    /// <summary>A length that stands for all with the frequencies of the given one; null where frequencies do not depend on it.</summary>
    internal Func<long, long>? LengthClass { get; init; }

    /// <summary>The same for sequences whose last token only asks for what is answered before it, and is none of their tokens.</summary>
    internal Place BeforeLast => LengthClass is { } of ? this with { LengthClass = length => of(length - 1) } : this;

    /// <summary>What a model's packs are made for.</summary>
    internal static Place Of(DecoderModel model)
    {
        var spec = model.Spec;
        return new Place(model.Device, model.Head.dtype, spec.Heads * spec.HeadWidth)
        {
            Windows = spec.Windows.Count > 0 ? [.. spec.Windows.Distinct()] : [null],
            LengthClass = RotaryFrequencies.LengthClassOf(spec),
        };
    }
}
