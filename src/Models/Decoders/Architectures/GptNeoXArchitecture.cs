// GPT-NeoX (Pythia, Dolly ...): attention and feed-forward beside each other, queries, keys and values in one matrix head by head, a quarter
// of each head turns. Source: Black et al. 2022.

using PeftAlign.Abstractions;

namespace PeftAlign.Models.Decoders;

internal sealed class GptNeoXArchitecture : IModelArchitecture
{
    public string ClassName => "GPTNeoXForCausalLM";

    public IReadOnlyList<InitOption> InitOptions { get; } =
    [
        .. NewModelOptions.Llama.Where(option => option.Name is not ("num_key_value_heads" or "rms_norm_eps" or "rope_theta")),
        new("layer_norm_eps", "number", "1e-5", "(0,)", "Epsilon of the norms."),
        new("rotary_emb_base", "number", "10000", "(0,)", "Base of the rotary frequencies."),
        new("rotary_pct", "number", "0.25", "(0,1]", "Part of each head's dimensions that turns."),
        new("use_parallel_residual", "boolean", "true", "", "Whether attention and feed-forward part both read a block's input, not one after the other."),
        new("attention_bias", "boolean", "true", "", "Whether attention's linear layers have biases."),
    ];

    public DecoderSpec Describe(ArchitectureConfig config)
    {
        long hidden = config.HiddenSize, inner = config.IntermediateSize ?? 24576;
        var bias = config.Bool("attention_bias") ?? true;
        var block = new BlockSpec
        {
            Parallel = config.Bool("use_parallel_residual") ?? true,
            AttentionNorm = "input_layernorm",
            AttentionInputs = [new("attention.query_key_value", hidden, 3 * hidden) { Bias = bias }],
            FusedByHead = true,
            AttentionOutput = new("attention.dense", hidden, hidden) { Bias = bias },
            FeedForwardNorm = "post_attention_layernorm",
            FeedForwardInputs = [new("mlp.dense_h_to_4h", hidden, inner) { Bias = true }],
            Gated = false,
            Activation = config.ActivationOr(Activation.Gelu),
            FeedForwardOutput = new("mlp.dense_4h_to_h", inner, hidden) { Bias = true },
        };
        return DecoderShape.WithLayerNorm(config, new("gpt_neox.embed_in", "gpt_neox.layers.", "gpt_neox.final_layer_norm") { StoredHead = "embed_out" }, block) with { Rope = config.Rope };
    }
}
