// AdamW with both moments in 8 bits (Dettmers et al. 2022), tensor by tensor: those of less than 4096 values keep float32, as in
// bitsandbytes, and embeddings, as in transformers' Trainer over it. A step decodes a piece's moments, updates them, moves the values by the unrounded moments, and encodes them. Blocks
// lie within a tensor and pieces hold whole blocks. Paged like AdamW; small tensors' moments stay on the device.

using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Training;

internal sealed class AdamW8Bit : FlatOptimizer
{
    private const long LeastCount = 4096;

    // Of values in a piece on a processor: decoding, updating and encoding take some 76 bytes for each, which then stay in the cache.
    private const long ProcessorPiece = 1 << 18;

    private readonly Blockwise8 signed, unsigned;
    private readonly List<(long First, long Count, Tensor Average, Tensor Square)> small = [];
    private readonly List<(long First, long Count)> places = [], widePlaces = [];
    private readonly MomentPager pager, widePager; // of moments in 8 bits, and of embeddings' in full

    /// <param name="parameters">What is trained.</param>
    /// <param name="options">Rates and decay.</param>
    /// <param name="paging">When to keep the moments away; null = never.</param>
    internal AdamW8Bit(FlatParameters parameters, TrainingOptions options, Paging? paging) : base(parameters, options)
    {
        (signed, unsigned) = (new Blockwise8(true, Values.device), new Blockwise8(false, Values.device));
        var members = parameters.Members.Select(m => (m.Name, Count: m.Tensor.numel())).ToList();
        var bytes = members.Where(m => m.Count >= LeastCount).Sum(m => 2 * (parameters.Embeddings.Contains(m.Name) ? m.Count * Values.element_size() : m.Count + Blockwise8.Factors(m.Count) * sizeof(float)));
        IsPaged = paging?.IsNeeded(Values.device, bytes) ?? false;
        var bucket = Math.Min((paging ?? new Paging()).Bucket, Values.device.type == DeviceType.CPU ? ProcessorPiece : long.MaxValue) / Blockwise8.Blocksize * Blockwise8.Blocksize;
        var (pieces, wide) = (new List<Tensor[]>(), new List<Tensor[]>());
        long first = 0;
        foreach (var (name, count) in members)
        {
            if (count < LeastCount) small.Add((first, count, Full($"exp_avg.{name}", count), Full($"exp_avg_sq.{name}", count)));
            else if (parameters.Embeddings.Contains(name)) DivideWide(first, Full($"exp_avg.{name}", count, IsPaged), Full($"exp_avg_sq.{name}", count, IsPaged), bucket, wide);
            else Divide(first, [.. EightBit($"exp_avg.{name}", count), .. EightBit($"exp_avg_sq.{name}", count)], bucket, pieces);
            first += count;
        }
        (Lane, Lane, Lane)? lanes = IsPaged ? paging!.Lanes ?? Lane.ForCopies(Values.device) : null;
        (pager, widePager) = (new MomentPager(pieces, Values.device, lanes), new MomentPager(wide, Values.device, lanes));
    }

    /// <summary>Whether the moments are away from the device between steps.</summary>
    internal bool IsPaged { get; }

    protected override void Update(double learningRate)
    {
        Decayed(Values)?.mul_(1 - learningRate * Options.WeightDecay);
        foreach (var (first, count, average, square) in small) Adam(first, count, average, square, learningRate);
        widePager.Each((k, moments) => Adam(widePlaces[k].First, widePlaces[k].Count, moments[0], moments[1], learningRate));
        pager.Each((k, moments) =>
        {
            using var scope = torch.NewDisposeScope();
            var (average, square) = (signed.Decode(moments[0], moments[1]), unsigned.Decode(moments[2], moments[3]));
            Adam(places[k].First, places[k].Count, average, square, learningRate);
            signed.Encode(average, moments[0], moments[1]);
            unsigned.Encode(square, moments[2], moments[3]);
        });
    }

    protected override void Settle()
    {
        pager.Settle();
        widePager.Settle();
    }

    public override void Dispose()
    {
        pager.Dispose();
        widePager.Dispose();
        signed.Dispose();
        unsigned.Dispose();
        base.Dispose();
    }

    private void Adam(long first, long count, Tensor average, Tensor square, double learningRate) =>
        UpdateRules.Adam(Values.narrow(0, first, count), Gradients.narrow(0, first, count), average, square, Steps, learningRate, Options.AdamBeta1, Options.AdamBeta2, Options.AdamEpsilon);

    // Pieces of a tensor: codes and factors of the first moment, codes and factors of the second.
    private void Divide(long first, Tensor[] state, long bucket, List<Tensor[]> pieces)
    {
        var count = state[0].numel();
        for (long at = 0; at < count; at += bucket)
        {
            var n = Math.Min(bucket, count - at);
            pieces.Add([.. state.Select((whole, slot) => slot % 2 == 0 ? whole.narrow(0, at, n) : whole.narrow(0, at / Blockwise8.Blocksize, Blockwise8.Factors(n)))]);
            places.Add((first + at, n));
        }
    }

    private void DivideWide(long first, Tensor average, Tensor square, long bucket, List<Tensor[]> pieces)
    {
        var count = average.numel();
        for (long at = 0; at < count; at += bucket)
        {
            var n = Math.Min(bucket, count - at);
            pieces.Add([average.narrow(0, at, n), square.narrow(0, at, n)]);
            widePlaces.Add((first + at, n));
        }
    }

    private Tensor[] EightBit(string name, long count) =>
    [
        Kept(name, Paging.Home(IsPaged, count, torch.uint8, Values.device)),
        Kept(name + ".absmax", Paging.Home(IsPaged, Blockwise8.Factors(count), torch.float32, Values.device)),
    ];

    private Tensor Full(string name, long count, bool paged = false) => Kept(name, Paging.Home(paged, count, Values.dtype, Values.device));
}
