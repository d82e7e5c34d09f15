// What Gemma 2 and 3 share: norms that scale by 1 + w before and after each part, scaled embeddings, GeGLU, a scale of the scores that
// does not follow from the width of a head. Source: Gemma Team 2024.

using PeftAlign.Abstractions;

namespace PeftAlign.Models.Decoders;

internal static class GemmaShape
{
    internal static DecoderSpec Of(ArchitectureConfig config)
    {
        if (config.Bool("use_bidirectional_attention") == true) throw config.Wrong("use_bidirectional_attention", "false or absent");
        var spec = LlamaShape.Of(config).TurningWhole();
        var block = spec.Block with
        {
            AttentionEndNorm = "post_attention_layernorm",
            FeedForwardNorm = "pre_feedforward_layernorm",
            FeedForwardEndNorm = "post_feedforward_layernorm",
            Activation = config.ActivationOr(Activation.GeluTanh),
        };
        if (config.Bool("attention_bias") == true) block = block.WithAttentionBias(output: true);
        return spec with
        {
            Norm = spec.Norm with { Kind = NormKind.RmsPlusOne },
            Block = block,
            EmbeddingScale = Math.Sqrt(config.HiddenSize),
            ScoreScale = 1 / Math.Sqrt(config.Positive("query_pre_attn_scalar") ?? 256),
        };
    }

    /// <summary>Cap of scores or logits; null = none.</summary>
    /// <exception cref="UserErrorException">It is not above 0, where transformers divides by it.</exception>
    internal static double? Cap(ArchitectureConfig config, string key) => config.Positive(key, "a positive number, or null for no cap");
}
