// Memory of a training on a GPU, beside what every training keeps: of dropout and DoRA, and of the block at work. The numbers are counted
// from the operators of Models/Decoders/Deltas; tests hold them to the device to rehearse on.

using PeftAlign.Abstractions;
using PeftAlign.Models.Decoders;
using PeftAlign.Torch;

namespace PeftAlign.Host.Running.Estimates;

internal static class DeviceTraining
{
    private const int FloatBytes = 4;
    private const int Sums = 3; // of an output in float32, until its part of the block is done: the thin product, the same scaled, the sum
    private const int TurnedSums = 5; // under DoRA: the base's share too, and both together
    private const long MaskBytes = 38_000_000; // at most, while a mask is made (ComposedDraws)
    private const long MaskBytesOfNumber = 18; // and of each of its numbers

    /// <summary>Bytes of a token and block that the backward pass needs.</summary>
    internal static double Kept(Arithmetic arithmetic)
    {
        var wide = arithmetic.Type == torch.ScalarType.Float32;
        var dropped = arithmetic.Dropped * (arithmetic.Width + (wide ? FloatBytes : 0)); // the mask; the copy that it made is counted with the copies unless all is in float32
        return dropped + (arithmetic.Turned * (arithmetic.Width + FloatBytes)) - (arithmetic.Width * arithmetic.Copied); // of which the narrow input is not kept
    }

    /// <summary>Bytes of a block while it is computed, or its gradients are.</summary>
    /// <param name="model">Its shape.</param>
    /// <param name="tokens">Of a pass.</param>
    /// <param name="arithmetic">What is trained.</param>
    internal static double AtWork(DecoderSpec model, long tokens, Arithmetic arithmetic)
    {
        var matrices = model.Weights().Where(weight => weight.Role == WeightRole.Matrix && weight.Name.StartsWith(model.Names.Blocks, StringComparison.Ordinal)).ToList();
        var parts = Array.ConvertAll(Together(model.Block), part => part.Sum(linear => linear.Outputs));
        var (outputs, share) = ((double)parts.Max(), (double)parts.Max() / parts.Sum());
        var widest = matrices.Max(weight => weight.Shape[weight.Transposed ? 1 : 0]);
        // Layers of one input get their gradients in float32 together.
        if (arithmetic.Dropped == 0 && arithmetic.Turned == 0) return tokens * FloatBytes * (double)((2 * widest) + model.Hidden);
        var sums = (arithmetic.Turned > 0 ? TurnedSums : Sums) * FloatBytes * outputs;
        var mask = arithmetic.Dropped > 0 ? Math.Min(MaskBytes, MaskBytesOfNumber * tokens * widest) : 0;
        var decoded = arithmetic.Turned > 0 ? FloatBytes * matrices.Max(weight => weight.Shape.Aggregate(1L, (a, b) => a * b)) : 0;
        return (tokens * (sums + (arithmetic.Width * ((arithmetic.Copied * share) + outputs)))) + mask + decoded;
    }

    // Layers whose intermediates are there at the same time.
    private static IReadOnlyList<LinearSpec>[] Together(BlockSpec block) => [block.AttentionInputs, [block.AttentionOutput], block.FeedForwardInputs, [block.FeedForwardOutput]];
}
