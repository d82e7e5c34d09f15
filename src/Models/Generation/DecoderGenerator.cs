// Generators over a decoder with its cache, for the host, benchmarks and judges.

using PeftAlign.Abstractions;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;

namespace PeftAlign.Models.Generation;

/// <summary>Makes generators.</summary>
public static class DecoderGenerator
{
    /// <summary>Most sequences of one decoding step, where nothing else is asked for.</summary>
    public const int RowsAtOnce = 16;

    /// <summary>A generator over a model with its adapter.</summary>
    /// <param name="model">The weights.</param>
    /// <param name="mode">The adapter.</param>
    /// <param name="tokenizer">For stop strings; null where there is none.</param>
    /// <param name="rowsAtOnce">Most sequences of one decoding step: changes speed and memory, not results.</param>
    public static IGenerator Of(DecoderModel model, ForwardMode mode, ITokenizer? tokenizer, int rowsAtOnce = RowsAtOnce)
    {
        var limits = new GenerationLimits(model.Spec.Vocabulary, model.Spec.Names.Positions is null ? null : model.Spec.MaxPositions - Fronts.Of(model.Spec, mode)[null].Length);
        return new Generator(limits, tokenizer, () => new CachedSession(model, mode), rowsAtOnce);
    }
}
