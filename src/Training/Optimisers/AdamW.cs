// AdamW with moments in the values' type, over the flat buffer in buckets; paged if that is asked for and the device is short of
// memory.

using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Training;

internal sealed class AdamW : FlatOptimizer
{
    private readonly MomentPager pager;
    private readonly long bucket;

    /// <param name="parameters">What is trained.</param>
    /// <param name="options">Rates and decay.</param>
    /// <param name="paging">When to keep the moments away; null = never.</param>
    internal AdamW(FlatParameters parameters, TrainingOptions options, Paging? paging) : base(parameters, options)
    {
        var count = Values.numel();
        bucket = (paging ?? new Paging()).Bucket;
        IsPaged = paging?.IsNeeded(Values.device, 2 * count * Values.element_size()) ?? false;
        var (average, square) = (Kept("exp_avg", Paging.Home(IsPaged, count, Values.dtype, Values.device)), Kept("exp_avg_sq", Paging.Home(IsPaged, count, Values.dtype, Values.device)));
        var pieces = new List<Tensor[]>();
        for (long first = 0; first < count; first += bucket)
        {
            var n = Math.Min(bucket, count - first);
            pieces.Add([average.narrow(0, first, n), square.narrow(0, first, n)]);
        }
        pager = new MomentPager(pieces, Values.device, IsPaged ? paging!.Lanes ?? Lane.ForCopies(Values.device) : null);
    }

    /// <summary>Whether the moments are away from the device between steps.</summary>
    internal bool IsPaged { get; }

    protected override void Update(double learningRate)
    {
        Decayed(Values)?.mul_(1 - learningRate * Options.WeightDecay);
        pager.Each((k, moments) =>
        {
            var (first, n) = (k * bucket, moments[0].numel());
            UpdateRules.Adam(Values.narrow(0, first, n), Gradients.narrow(0, first, n), moments[0], moments[1], Steps, learningRate, Options.AdamBeta1, Options.AdamBeta2, Options.AdamEpsilon);
        });
    }

    protected override void Settle() => pager.Settle();

    public override void Dispose()
    {
        pager.Dispose();
        base.Dispose();
    }
}
