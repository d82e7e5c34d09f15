// AdamW whose moments lie in host memory, pinned where there is a device, and visit the device in buckets: while one is updated
// the next is fetched and the one before is put back, between two pairs of buffers. AdamW updates the same buckets in place, so
// that both give the same bits.

using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Training;

/// <summary>The moments of AdamW, wherever they are.</summary>
internal sealed class PagedAdamW : FlatOptimizer
{
    /// <summary>Values that are updated at a time: 16 MB of each moment.</summary>
    internal const long DefaultBucket = 1 << 22;

    private readonly Tensor average, square;
    private readonly Tensor[,]? buffers; // [2, 2]: of the even and of the odd buckets, each moment
    private readonly long bucket;

    /// <param name="parameters">What is trained.</param>
    /// <param name="options">Rates and decay.</param>
    /// <param name="free">Bytes that the device can still give; null asks it.</param>
    /// <param name="bucket">Values of a bucket.</param>
    internal PagedAdamW(FlatParameters parameters, TrainingOptions options, long? free = null, long bucket = DefaultBucket) : base(parameters, options)
    {
        this.bucket = bucket;
        var needed = 2 * Values.numel() * Values.element_size();
        IsPaged = free is { } bytes ? needed > bytes : Values.is_cuda && !Fits(needed);
        (average, square) = (Kept("exp_avg", Home()), Kept("exp_avg_sq", Home()));
        if (!IsPaged) return;
        buffers = new Tensor[2, 2];
        for (var k = 0; k < 4; k++) buffers[k / 2, k % 2] = torch.empty([Math.Min(bucket, Values.numel())], Values.dtype, Values.device).DetachFromDisposeScope();
    }

    /// <summary>Whether the moments are away from the device between steps.</summary>
    internal bool IsPaged { get; }

    protected override void Update(double learningRate)
    {
        Decayed(Values)?.mul_(1 - learningRate * Options.WeightDecay);
        var count = (Values.numel() + bucket - 1) / bucket;
        var fetched = IsPaged ? Fetch(0) : null;
        Task? returned = null;
        for (long k = 0; k < count; k++)
        {
            using var scope = torch.NewDisposeScope();
            var (first, n) = (k * bucket, Math.Min(bucket, Values.numel() - k * bucket));
            fetched?.GetAwaiter().GetResult();
            returned?.GetAwaiter().GetResult(); // the buffers that are filled next were put back
            if (IsPaged && k + 1 < count) fetched = Fetch(k + 1);
            var (m, v) = IsPaged ? (buffers![k % 2, 0].narrow(0, 0, n), buffers[k % 2, 1].narrow(0, 0, n)) : (average.narrow(0, first, n), square.narrow(0, first, n));
            UpdateRules.Adam(Values.narrow(0, first, n), Gradients.narrow(0, first, n), m, v, Steps, learningRate, Options.AdamBeta1, Options.AdamBeta2, Options.AdamEpsilon);
            if (IsPaged) returned = Move(k, toDevice: false);
        }
        returned?.GetAwaiter().GetResult();
    }

    public override void Dispose()
    {
        base.Dispose();
        if (buffers is not null)
            foreach (var buffer in buffers) buffer.Dispose();
    }

    private Task Fetch(long k) => Move(k, toDevice: true);

    // One bucket of both moments. On a device the copies join its stream, in the order in which they are asked for.
    private Task Move(long k, bool toDevice)
    {
        void Copy()
        {
            using var off = torch.no_grad();
            using var scope = torch.NewDisposeScope();
            var (first, n) = (k * bucket, Math.Min(bucket, Values.numel() - k * bucket));
            for (var moment = 0; moment < 2; moment++)
            {
                var (home, away) = ((moment == 0 ? average : square).narrow(0, first, n), buffers![k % 2, moment].narrow(0, 0, n));
                if (toDevice) away.copy_(home, non_blocking: true);
                else home.copy_(away, non_blocking: true);
            }
        }
        if (!Values.is_cuda) return Task.Run(Copy);
        Copy();
        return Task.CompletedTask;
    }

    private Tensor Home()
    {
        if (!IsPaged) return torch.zeros_like(Values).DetachFromDisposeScope();
        using var scope = torch.NewDisposeScope();
        var host = torch.zeros([Values.numel()], Values.dtype);
        return (Values.is_cuda ? host.pin_memory() : host).DetachFromDisposeScope();
    }

    // Whether the device can hold the moments and as much again for what a step needs.
    private bool Fits(long bytes)
    {
        try
        {
            using var trial = torch.empty([2 * bytes], torch.uint8, Values.device);
            return true;
        }
        catch (TorchOutOfMemoryException)
        {
            return false;
        }
    }
}
