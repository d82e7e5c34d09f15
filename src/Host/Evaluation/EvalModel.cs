// The model under evaluation: weights with adapters, tokenizer, template, and the two engines that answer requests.

using PeftAlign.Abstractions;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Models.Generation;

namespace PeftAlign.Host.Evaluation;

/// <param name="Decoder">The weights.</param>
/// <param name="Mode">The adapters.</param>
/// <param name="Tokenizer">Null where the folder has none.</param>
/// <param name="ChatTemplate">Null where there is none.</param>
/// <param name="EndIds">Ids that end a text, as the model's files say.</param>
internal sealed record EvalModel(DecoderModel Decoder, ForwardMode Mode, ITokenizer? Tokenizer, IChatTemplate? ChatTemplate, IReadOnlyList<int> EndIds)
{
    internal LogProbEngine Engine { get; } = new(Decoder);

    internal IGenerator Generator { get; } = DecoderGenerator.Of(Decoder, Mode, Tokenizer);

    /// <summary>Most tokens of one sequence.</summary>
    internal int MaxLength { get; } = (int)Math.Min(Decoder.Spec.MaxPositions, int.MaxValue);
}
