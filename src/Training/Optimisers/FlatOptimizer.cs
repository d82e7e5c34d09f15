// The optimisers over the flat buffer. AdamW decays weights apart from the gradient; SGD and RMSprop add the decay to it, as
// PyTorch's do. RMSprop has PyTorch's constants (alpha 0.99, eps 1e-8), SGD no momentum, as transformers makes both.

using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Training;

/// <summary>Updates all trained values at once.</summary>
internal abstract class FlatOptimizer(FlatParameters parameters, TrainingOptions options) : IDisposable
{
    private readonly List<(string Name, Tensor Tensor)> state = [];

    /// <summary>Everything that a checkpoint must hold beside the number of updates.</summary>
    internal IReadOnlyList<(string Name, Tensor Tensor)> State
    {
        get
        {
            Settle();
            return state;
        }
    }

    /// <summary>Updates done.</summary>
    internal long Steps { get; set; }

    protected TrainingOptions Options => options;

    protected Tensor Values => parameters.Values;

    protected Tensor Gradients => parameters.Gradients;

    /// <summary>The optimiser that the options name.</summary>
    /// <param name="parameters">What is trained.</param>
    /// <param name="options">Its name, rates and decay.</param>
    /// <param name="paging">How the paged ones page.</param>
    /// <exception cref="NotBuiltException">It is not built.</exception>
    internal static FlatOptimizer Of(FlatParameters parameters, TrainingOptions options, Paging? paging = null) => options.Optimizer switch
    {
        "adamw" => new AdamW(parameters, options, null),
        "adamw_8bit" => new AdamW8Bit(parameters, options, null),
        "paged_adamw" => new AdamW(parameters, options, paging ?? new Paging()),
        "paged_adamw_8bit" => new AdamW8Bit(parameters, options, paging ?? new Paging()),
        "sgd" => new Sgd(parameters, options),
        "rmsprop" => new RmsProp(parameters, options),
        _ => throw new NotBuiltException($"The option optimizer = {options.Optimizer} is none of adamw, paged_adamw, adamw_8bit, paged_adamw_8bit, sgd and rmsprop."),
    };

    /// <summary>One update with the gradients at hand, which it may change.</summary>
    internal void Step(double learningRate)
    {
        using var off = torch.no_grad();
        using var scope = torch.NewDisposeScope();
        Steps++;
        Update(learningRate);
    }

    public virtual void Dispose()
    {
        foreach (var (_, tensor) in state) tensor.Dispose();
    }

    protected abstract void Update(double learningRate);

    /// <summary>Waits until the state is where it is read.</summary>
    protected virtual void Settle()
    {
    }

    /// <summary>Zeros like the values, kept in checkpoints.</summary>
    protected Tensor Kept(string name) => Kept(name, torch.zeros_like(parameters.Values).DetachFromDisposeScope());

    /// <summary>A tensor that checkpoints hold; disposed with the optimiser.</summary>
    protected Tensor Kept(string name, Tensor tensor)
    {
        state.Add((name, tensor));
        return tensor;
    }

    /// <summary>The first entries of a flat tensor: those that are decayed. Null where nothing decays.</summary>
    protected Tensor? Decayed(Tensor flat) => options.WeightDecay > 0 && parameters.Decayed > 0 ? flat.narrow(0, 0, parameters.Decayed) : null;

    private sealed class Sgd(FlatParameters parameters, TrainingOptions options) : FlatOptimizer(parameters, options)
    {
        protected override void Update(double learningRate)
        {
            Decayed(Gradients)?.add_(Decayed(Values)!, Options.WeightDecay);
            Values.add_(Gradients, -learningRate);
        }
    }

    private sealed class RmsProp : FlatOptimizer
    {
        private readonly Tensor square;

        internal RmsProp(FlatParameters parameters, TrainingOptions options) : base(parameters, options) => square = Kept("square_avg");

        protected override void Update(double learningRate)
        {
            Decayed(Gradients)?.add_(Decayed(Values)!, Options.WeightDecay);
            // In buckets, as AdamW: a step over all at once would hold roots of all.
            for (long first = 0, bucket = new Paging().Bucket; first < Values.numel(); first += bucket)
            {
                using var scope = torch.NewDisposeScope();
                Tensor Bucket(Tensor flat) => flat.narrow(0, first, Math.Min(bucket, flat.numel() - first));
                UpdateRules.RmsProp(Bucket(Values), Bucket(Gradients), Bucket(square), learningRate);
            }
        }
    }
}
