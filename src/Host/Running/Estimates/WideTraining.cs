// Memory of a training in float32 on a processor. What its kernels keep for the backward pass follows from the shapes; what a block takes
// while it is at work, and what the allocator holds between both, was fitted to the peaks of trainings of four models (docs/qlora.md).

using PeftAlign.Abstractions;
using PeftAlign.Models.Decoders;

namespace PeftAlign.Host.Running.Estimates;

/// <summary>What is trained, as far as memory depends on it. Widths are of all changed matrices of the blocks together.</summary>
/// <param name="All">Whether every matrix keeps its input: the model's own weights are trained, or an adapter of which nothing was measured.</param>
internal sealed record TrainedWork(bool All)
{
    /// <summary>Inputs that are kept in float32 too beside a bfloat16 base.</summary>
    internal long Copied { get; init; }

    /// <summary>Inputs that are kept under dropout.</summary>
    internal long Dropped { get; init; }

    /// <summary>Outputs that DoRA turns.</summary>
    internal long Turned { get; init; }

    /// <summary>Outputs of what begins beside a start of its own (PiSSA, OLoRA).</summary>
    internal long Started { get; init; }

    /// <summary>Whether a matrix is changed whose input is wider than the model, which is then kept.</summary>
    internal bool Wide { get; init; }

    /// <summary>Whether a reference's pass comes before each of its own.</summary>
    internal bool Refers { get; init; }

    /// <summary>Of an adapter's sites.</summary>
    /// <param name="model">The model.</param>
    /// <param name="sites">Null where the weights are trained.</param>
    internal static TrainedWork Of(DecoderSpec model, IReadOnlyList<AdapterSite>? sites)
    {
        if (sites is null) return new TrainedWork(true);
        var changes = sites.Where(site => site.Module.StartsWith(model.Names.Blocks, StringComparison.Ordinal)).Select(site => site.Delta).ToList();
        var lows = changes.OfType<LowRank>().ToList();
        return new TrainedWork(lows.Count == 0)
        {
            Copied = lows.Where(low => low is not { Dropout: 0, Magnitude: null, Start: null }).Sum(low => low.A.size(1)),
            Dropped = lows.Where(low => low.Dropout > 0).Sum(low => low.A.size(1)),
            Turned = lows.Where(low => low.Magnitude is not null).Sum(low => low.B.size(0)),
            Started = lows.Where(low => low.Start is not null).Sum(low => low.B.size(0)),
            Wide = lows.Exists(low => low.A.size(1) > model.Hidden),
        };
    }
}

internal static class WideTraining
{
    private const int FloatBytes = 4;
    private const long PackRows = 2048; // of one forward pass

    // Of the model's width, beside what the matrices give: the block's input and middle, their norms, turned queries and keys.
    private const double Streams = 5.2;
    private const double LayerNormStreams = 8;

    private const double WideShare = 0.75; // of the width of the inputs that an adapter's wide matrix keeps
    private const double WholeShare = 1.6; // and where all weights are trained
    private const double DroppedCopies = 2; // an input under dropout, and its mask
    private const double StartedCopies = 2.2; // of an output with a start beside it
    private const double ApartStreams = 2; // where layers of one input no longer share it, for one of these

    // A block at work, in widths of the model: few of its matrices under an adapter, all of them, or trained themselves; where a reference's pass
    // comes before, what that leaves behind. All of them under an adapter, and blocks computed again: LibtorchCosts.
    private const double AtWork = 33.5;
    private const double AtWorkWhole = 18;
    private const double AtWorkAfter = 17.5;

    /// <summary>Bytes that a backward pass needs, without the head's.</summary>
    /// <param name="model">The model.</param>
    /// <param name="tokens">Of a step.</param>
    /// <param name="longest">Row.</param>
    /// <param name="work">What is trained.</param>
    internal static double Activations(DecoderSpec model, long tokens, long longest, TrainedWork work)
    {
        var probabilities = model.ScoreCap is null ? 0 : model.Heads * longest; // those are composed
        return FloatBytes * ((tokens * model.Layers * (Kept(model, work) + probabilities)) + (Math.Min(tokens, Math.Max(PackRows, longest)) * Working(model, work)));
    }

    // Numbers of a token and block that the backward pass needs.
    private static double Kept(DecoderSpec model, TrainedWork work)
    {
        var outputs = (double)Blocks(model).Sum(Out) / model.Layers;
        var wide = (work.All ? WholeShare : work.Wide ? WideShare : 0) * Blocks(model).Max(In);
        var beside = ((DroppedCopies * work.Dropped) + (LibtorchCosts.Here.TurnedCopies * work.Turned) + (StartedCopies * work.Started)) / model.Layers;
        if (beside > 0) beside += ApartStreams * model.Hidden;
        return outputs + ((model.Norm.Kind == NormKind.Layer ? LayerNormStreams : Streams) * model.Hidden) + wide + beside;
    }

    /// <summary>The same where blocks are computed again, without their inputs.</summary>
    internal static double Again(DecoderSpec model, long tokens, long longest, TrainedWork work)
    {
        var plain = Kept(model, work with { Dropped = 0, Turned = 0, Started = 0 });
        return FloatBytes * Math.Min(tokens, Math.Max(PackRows, longest)) * ((LibtorchCosts.Here.AtWorkAgain * model.Hidden) + Kept(model, work) - plain + (model.ScoreCap is null ? 0 : model.Heads * longest));
    }

    // Numbers of a token in the block at work.
    private static double Working(DecoderSpec model, TrainedWork work) => ((work.All ? AtWorkWhole : work.Wide ? LibtorchCosts.Here.AtWorkWide : AtWork) + (work.Refers ? AtWorkAfter : 0)) * model.Hidden;

    private static IEnumerable<WeightSpec> Blocks(DecoderSpec model) => model.Weights().Where(weight => weight.Role == WeightRole.Matrix && weight.Name.StartsWith(model.Names.Blocks, StringComparison.Ordinal));

    private static long In(WeightSpec weight) => weight.Shape[weight.Transposed ? 0 : 1];

    private static long Out(WeightSpec weight) => weight.Shape[weight.Transposed ? 1 : 0];
}
