// What the description of every decoder begins with: the sizes, which config.json has under one name each. Shapes and architectures state the rest.

using PeftAlign.Abstractions;

namespace PeftAlign.Models.Decoders;

internal static class DecoderShape
{
    // Of a model type that is not built in, where config.json does not say.
    private const int Positions = 2048;

    /// <summary>As many key and value heads as query heads, which share the hidden size; no padding row; positions are to be said.</summary>
    internal static DecoderSpec Of(ArchitectureConfig config, NormSpec norm, BlockSpec block) => new()
    {
        ModelType = config.ModelType,
        Vocabulary = config.VocabularySize,
        Hidden = config.HiddenSize,
        Layers = config.LayerCount,
        Heads = config.HeadCount,
        KeyValueHeads = config.HeadCount,
        HeadWidth = config.HiddenSize / config.HeadCount,
        MaxPositions = config.MaxPositions ?? Positions,
        TiedHead = config.TieWordEmbeddings,
        Norm = norm,
        Block = block,
    };

    /// <summary>The same with LayerNorm, of GPT-2's epsilon where config.json does not say.</summary>
    internal static DecoderSpec WithLayerNorm(ArchitectureConfig config, DecoderNames names, BlockSpec block) =>
        Of(config, new NormSpec(NormKind.Layer, config.NormEpsilon ?? 1e-5), block) with { Names = names };
}
