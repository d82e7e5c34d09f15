// What GPT-2 and GPT-Neo share: names, learned positions, LayerNorm, a feed-forward part without a gate.

using PeftAlign.Abstractions;

namespace PeftAlign.Models.Decoders;

internal static class GptShape
{
    internal static DecoderSpec Of(ArchitectureConfig config) =>
        DecoderShape.WithLayerNorm(config, new("transformer.wte", "transformer.h.", "transformer.ln_f") { Positions = "transformer.wpe" }, Block(config)) with { HeadWidth = config.HeadDim };

    /// <summary>GPT-Neo's: only queries, keys and values without biases.</summary>
    internal static BlockSpec Block(ArchitectureConfig config)
    {
        long hidden = config.HiddenSize, inner = config.IntermediateSize ?? 4 * hidden;
        LinearSpec Input(string name) => new(name, hidden, hidden);
        return new BlockSpec
        {
            AttentionNorm = "ln_1",
            AttentionInputs = [Input("attn.attention.q_proj"), Input("attn.attention.k_proj"), Input("attn.attention.v_proj")],
            AttentionOutput = new("attn.attention.out_proj", hidden, hidden) { Bias = true },
            FeedForwardNorm = "ln_2",
            FeedForwardInputs = [new("mlp.c_fc", hidden, inner) { Bias = true }],
            Gated = false,
            Activation = config.ActivationOr(Activation.GeluTanh),
            FeedForwardOutput = new("mlp.c_proj", inner, hidden) { Bias = true },
        };
    }
}
