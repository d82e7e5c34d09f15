// OPT: learned positions from row 2 of their table on, LayerNorm, ReLU, biases; of 350M norms behind the sums and a narrower embedding.
// Source: Zhang et al. 2022.

using PeftAlign.Abstractions;

namespace PeftAlign.Models.Decoders;

internal sealed class OptArchitecture : IModelArchitecture
{
    // Those of transformers' class, which no key of config.json changes.
    private const double Epsilon = 1e-5;
    private const long Offset = 2;

    public string ClassName => "OPTForCausalLM";

    public IReadOnlyList<InitOption> InitOptions { get; } =
    [
        .. NewModelOptions.Gpt("hidden_size", "ffn_dim", "num_hidden_layers", "num_attention_heads", "max_position_embeddings")
            .Where(option => option.Name is not ("layer_norm_epsilon" or "initializer_range")),
        new("init_std", "number", "0.02", "(0,)", "Standard deviation of new weights."),
        new("word_embed_proj_dim", "integer", null, "[1,)", "Width of the embedding; the hidden size where it is not given."),
        new("do_layer_norm_before", "boolean", "true", "", "Whether the norms stand before attention and feed-forward part, not behind the sums."),
        new("enable_bias", "boolean", "true", "", "Whether the blocks' linear layers have biases."),
        new("layer_norm_elementwise_affine", "boolean", "true", "", "Whether the norms have weights and biases."),
    ];

    public DecoderSpec Describe(ArchitectureConfig config)
    {
        var before = config.Bool("do_layer_norm_before") ?? true;
        long hidden = config.HiddenSize, width = config.Int("word_embed_proj_dim", 1) ?? hidden;
        string? Between(string name) => width == hidden ? null : name;
        var names = new DecoderNames("model.decoder.embed_tokens", "model.decoder.layers.", before && config.Bool("_remove_final_layer_norm") != true ? "model.decoder.final_layer_norm" : null)
        {
            Positions = "model.decoder.embed_positions",
            EmbeddingOutput = Between("model.decoder.project_in"),
            HeadInput = Between("model.decoder.project_out"),
        };
        var norm = new NormSpec(NormKind.Layer, Epsilon) { HasWeights = config.Bool("layer_norm_elementwise_affine") ?? true };
        return DecoderShape.Of(config, norm, Block(config, hidden) with { NormsAfter = !before }) with
        {
            EmbeddingWidth = width,
            PositionOffset = Offset,
            PadToken = config.PaddingRow,
            Names = names,
        };
    }

    private static BlockSpec Block(ArchitectureConfig config, long hidden)
    {
        var bias = config.Bool("enable_bias") ?? true;
        long inner = config.IntermediateSize ?? 3072;
        LinearSpec Linear(string name, long inputs, long outputs) => new(name, inputs, outputs) { Bias = bias };
        return new BlockSpec
        {
            AttentionNorm = "self_attn_layer_norm",
            AttentionInputs = [Linear("self_attn.q_proj", hidden, hidden), Linear("self_attn.k_proj", hidden, hidden), Linear("self_attn.v_proj", hidden, hidden)],
            AttentionOutput = Linear("self_attn.out_proj", hidden, hidden),
            FeedForwardNorm = "final_layer_norm",
            FeedForwardInputs = [Linear("fc1", hidden, inner)],
            Gated = false,
            Activation = config.ActivationOr(Activation.Relu),
            FeedForwardOutput = Linear("fc2", inner, hidden),
        };
    }
}
