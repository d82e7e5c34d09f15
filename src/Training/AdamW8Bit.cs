// AdamW with both moments in 8 bits (Dettmers et al. 2022), tensor by tensor: those of less than 4096 values keep float32, as in
// bitsandbytes. A step decodes a tensor's moments, updates them, moves the values by the unrounded moments, and encodes them.

using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Training;

internal sealed class AdamW8Bit : FlatOptimizer
{
    private const long LeastCount = 4096;

    private readonly List<(long First, long Count, Moments State)> members = [];

    internal AdamW8Bit(FlatParameters parameters, TrainingOptions options) : base(parameters, options)
    {
        long first = 0;
        foreach (var (name, tensor) in parameters.Members)
        {
            var count = tensor.numel();
            members.Add((first, count, count < LeastCount ? Full(name, count) : EightBit(name, count)));
            first += count;
        }
    }

    protected override void Update(double learningRate)
    {
        Decayed(Values)?.mul_(1 - learningRate * Options.WeightDecay);
        foreach (var (first, count, state) in members)
        {
            using var scope = torch.NewDisposeScope();
            var (average, square) = state.Decode();
            UpdateRules.Adam(Values.narrow(0, first, count), Gradients.narrow(0, first, count), average, square, Steps, learningRate, Options.AdamBeta1, Options.AdamBeta2, Options.AdamEpsilon);
            state.Encode(average, square);
        }
    }

    private Moments EightBit(string name, long count)
    {
        var (average, square) = (new Blockwise8(count, signed: true, Values.device), new Blockwise8(count, signed: false, Values.device));
        Kept($"exp_avg.{name}", average.Codes);
        Kept($"exp_avg.{name}.absmax", average.Absmax);
        Kept($"exp_avg_sq.{name}", square.Codes);
        Kept($"exp_avg_sq.{name}.absmax", square.Absmax);
        return new Moments(() => (average.Decode(), square.Decode()), (m, v) =>
        {
            average.Encode(m);
            square.Encode(v);
        });
    }

    private Moments Full(string name, long count)
    {
        var average = Kept($"exp_avg.{name}", torch.zeros([count], Values.dtype, Values.device).DetachFromDisposeScope());
        var square = Kept($"exp_avg_sq.{name}", torch.zeros([count], Values.dtype, Values.device).DetachFromDisposeScope());
        return new Moments(() => (average, square), (_, _) => { });
    }

    private sealed record Moments(Func<(Tensor Average, Tensor Square)> Decode, Action<Tensor, Tensor> Encode);
}
