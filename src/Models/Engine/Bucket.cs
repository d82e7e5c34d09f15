// Consecutive groups whose attention is one batched product. Short groups are padded to the longest of their bucket,
// since a product of their own would cost more in calls than the padding in arithmetic; a long group has its own bucket.

using PeftAlign.Models.Decoders;
using PeftAlign.Torch;

namespace PeftAlign.Models.Engine;

/// <summary>Where a bucket's rows lie: B groups of at most T rows each, from row Start on.</summary>
internal sealed record BucketShape(int Start, int Rows, int Batch, int Width)
{
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

    private readonly Dictionary<long, Tensor> masks = []; // by window; 0 = none
    private readonly int longest;

    private Bucket(List<Segment> segments, Place place)
    {
        var width = segments.Max(s => s.Length);
        Shape = new BucketShape(segments[0].Start, segments.Sum(s => s.Length), segments.Count, width);
        // A window that no sequence outgrows hides nothing.
        longest = segments.Max(s => s.Positions);
        foreach (var window in place.Windows.Select(Effective).Distinct())
            masks.Add(window ?? 0, segments.TrueForAll(s => s.IsChain) ? CausalMask(width, window, place) : TreeMask(segments, width, window, place));
        if (segments.Count == 1) return;
        var places = segments.SelectMany((s, b) => Enumerable.Range(0, s.Length).Select(t => (long)b * width + t)).ToArray();
        Places = torch.tensor(places, device: place.Device).DetachFromDisposeScope();
    }

    internal BucketShape Shape { get; }

    /// <summary>(rows) int64, see <see cref="BucketShape.Padded"/>; null for a single group.</summary>
    internal Tensor? Places { get; }

    /// <summary>(1 or B, 1, T, T) in the model's dtype: 0 where a row sees another, -inf where not; shared by all layers of one window.</summary>
    /// <param name="window">One of the place's windows.</param>
    internal Tensor Mask(long? window) => masks[Effective(window) ?? 0];

    private long? Effective(long? window) => window < longest ? window : null;

    /// <summary>Puts groups into buckets, in order.</summary>
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
            if (open.Count > 0 && padding > worth)
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

    public void Dispose()
    {
        Places?.Dispose();
        foreach (var mask in masks.Values) mask.Dispose();
    }

    // Padding stands behind the rows, so the causal mask of the widest group serves all.
    private static Tensor CausalMask(int width, long? window, Place place)
    {
        using var scope = torch.NewDisposeScope();
        var hidden = torch.full([width, width], float.NegativeInfinity, place.Type, place.Device);
        var mask = window is { } w ? hidden.triu(1) + hidden.tril(-w) : hidden.triu(1);
        return mask.view(1, 1, width, width).DetachFromDisposeScope();
    }

    private static Tensor TreeMask(List<Segment> segments, int width, long? window, Place place)
    {
        using var scope = torch.NewDisposeScope();
        var mask = new float[segments.Count * width * width];
        Array.Fill(mask, float.NegativeInfinity);
        for (var b = 0; b < segments.Count; b++) segments[b].Show(mask.AsSpan(b * width * width, width * width), width, window);
        return torch.tensor(mask, [segments.Count, 1, width, width], device: place.Device).to(place.Type).DetachFromDisposeScope();
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

    /// <summary>What a model's packs are made for.</summary>
    internal static Place Of(DecoderModel model)
    {
        var spec = model.Spec;
        return new Place(model.Device, model.Head.dtype, spec.Heads * spec.HeadWidth)
        {
            Windows = spec.Windows.Count > 0 ? [.. spec.Windows.Distinct()] : [null],
            LengthClass = spec.Rope is { } rope && RotaryFrequencies.DependOnLength(rope) ? length => RotaryFrequencies.LengthClass(rope, spec.MaxPositions, length) : null,
        };
    }
}
