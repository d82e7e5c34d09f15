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
    public static IGenerator Of(DecoderModel model, ForwardMode mode, ITokenizer? tokenizer, int rowsAtOnce = RowsAtOnce) =>
        new Generator(Limits(model, mode), tokenizer, () => new CachedSession(model, mode), rowsAtOnce);

    /// <summary>A generator for a conversation: of each prompt only what the sequence before it does not begin with is computed.</summary>
    /// <param name="model">The weights.</param>
    /// <param name="mode">The adapter.</param>
    /// <param name="tokenizer">For stop strings; null where there is none.</param>
    public static IGenerator Conversation(DecoderModel model, ForwardMode mode, ITokenizer? tokenizer)
    {
        var session = new ConversationSession(model, mode);
        return new Generator(Limits(model, mode), tokenizer, () => session, 1);
    }

    private static GenerationLimits Limits(DecoderModel model, ForwardMode mode) =>
        new(model.Spec.Vocabulary, model.Spec.Names.Positions is null ? null : model.Spec.MaxPositions - Fronts.Of(model.Spec, mode)[null].Length);
}
