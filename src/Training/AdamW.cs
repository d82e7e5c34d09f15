// AdamW (Loshchilov and Hutter 2019) over flat buffers, in torch's order of operations: decay, moments, then
// p -= lr / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + eps).

using PeftAlign.Torch;

namespace PeftAlign.Training;

internal sealed class AdamW : IDisposable
{
    private readonly FlatParameters parameters;
    private readonly TrainingOptions options;

    internal AdamW(FlatParameters parameters, TrainingOptions options)
    {
        this.parameters = parameters;
        this.options = options;
        FirstMoment = torch.zeros_like(parameters.Values).DetachFromDisposeScope();
        SecondMoment = torch.zeros_like(parameters.Values).DetachFromDisposeScope();
    }

    /// <summary>(P)</summary>
    internal Tensor FirstMoment { get; }

    /// <summary>(P)</summary>
    internal Tensor SecondMoment { get; }

    /// <summary>Updates done.</summary>
    internal long Steps { get; set; }

    /// <summary>One update with the gradients at hand.</summary>
    internal void Step(double learningRate)
    {
        using var off = torch.no_grad();
        using var scope = torch.NewDisposeScope();
        Steps++;
        var (values, gradients) = (parameters.Values, parameters.Gradients);
        if (options.WeightDecay > 0 && parameters.Decayed > 0)
            values.narrow(0, 0, parameters.Decayed).mul_(1 - learningRate * options.WeightDecay);
        FirstMoment.lerp_(gradients, 1 - options.AdamBeta1);
        SecondMoment.mul_(options.AdamBeta2).addcmul_(gradients, gradients, 1 - options.AdamBeta2);
        var correction1 = 1 - Math.Pow(options.AdamBeta1, Steps);
        var correction2 = Math.Sqrt(1 - Math.Pow(options.AdamBeta2, Steps));
        var root = SecondMoment.sqrt().div_(correction2).add_(options.AdamEpsilon);
        values.addcdiv_(FirstMoment, root, -learningRate / correction1);
    }

    public void Dispose()
    {
        FirstMoment.Dispose();
        SecondMoment.Dispose();
    }
}
