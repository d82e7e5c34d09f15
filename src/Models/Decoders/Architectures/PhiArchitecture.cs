// Phi 1, 1.5 and 2: attention and feed-forward beside each other under one LayerNorm, a part of each head turns, every linear layer has a bias,
// the output head too. Source: Gunasekar et al. 2023; Li et al. 2023.

using PeftAlign.Abstractions;

namespace PeftAlign.Models.Decoders;

internal sealed class PhiArchitecture : IModelArchitecture
{
    // In transformers' class where config.json does not say.
    private const int Inner = 8192;

    public string ClassName => "PhiForCausalLM";

    public IReadOnlyList<InitOption> InitOptions { get; } =
    [
        .. NewModelOptions.Llama.Where(option => option.Name is not ("rms_norm_eps" or "tie_word_embeddings")),
        new("layer_norm_eps", "number", "1e-5", "(0,)", "Epsilon of the norms."),
        new("partial_rotary_factor", "number", "0.5", "(0,1]", "Part of each head's dimensions that turns."),
        new("qk_layernorm", "boolean", "false", "", "Whether queries and keys have a LayerNorm over each head."),
    ];

    public DecoderSpec Describe(ArchitectureConfig config)
    {
        long hidden = config.HiddenSize, width = config.Int("head_dim", 1) ?? config.HeadDim;
        return DecoderShape.WithLayerNorm(config, new("model.embed_tokens", "model.layers.", "model.final_layernorm"), Block(config, hidden, width)) with
        {
            KeyValueHeads = config.KeyValueHeadCount,
            HeadWidth = width,
            HeadBias = true,
            PadToken = config.PaddingRow,
            Rope = config.Rope,
        };
    }

    private static BlockSpec Block(ArchitectureConfig config, long hidden, long width)
    {
        long inner = config.IntermediateSize ?? Inner, queries = config.HeadCount * width, keys = config.KeyValueHeadCount * width;
        static LinearSpec Linear(string name, long inputs, long outputs) => new(name, inputs, outputs) { Bias = true };
        string? HeadNorm(string name) => config.Bool("qk_layernorm") == true ? name : null;
        return new BlockSpec
        {
            Parallel = true,
            AttentionNorm = "input_layernorm",
            AttentionInputs = [Linear("self_attn.q_proj", hidden, queries), Linear("self_attn.k_proj", hidden, keys), Linear("self_attn.v_proj", hidden, keys)],
            QueryNorm = HeadNorm("self_attn.q_layernorm"),
            KeyNorm = HeadNorm("self_attn.k_layernorm"),
            AttentionOutput = Linear("self_attn.dense", queries, hidden),
            FeedForwardNorm = "input_layernorm",
            FeedForwardInputs = [Linear("mlp.fc1", hidden, inner)],
            Gated = false,
            Activation = config.ActivationOr(Activation.GeluTanh),
            FeedForwardOutput = Linear("mlp.fc2", inner, hidden),
        };
    }
}
