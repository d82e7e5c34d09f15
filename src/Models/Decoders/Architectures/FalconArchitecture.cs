// Falcon: attention and feed-forward beside each other, under one LayerNorm (7B, 11B) or two (40B, 180B), or one after the other; one key and value
// head for all queries, or several, each in one matrix with its queries; linear layers without biases. Source: Almazrouei et al. 2023.

using PeftAlign.Abstractions;

namespace PeftAlign.Models.Decoders;

internal sealed class FalconArchitecture : IModelArchitecture
{
    public string ClassName => "FalconForCausalLM";

    public IReadOnlyList<InitOption> InitOptions { get; } =
    [
        .. NewModelOptions.Gpt("hidden_size", "ffn_hidden_size", "num_hidden_layers", "num_attention_heads", "max_position_embeddings"),
        new("rope_theta", "number", "10000", "(0,)", "Base of the rotary frequencies."),
        new("new_decoder_architecture", "boolean", "false", "", "Whether it has the shape of Falcon 40B: several key and value heads, each with its queries in one matrix."),
        new("num_kv_heads", "integer", null, "[1,)", "Key and value heads of that shape; as many as query heads where it is not given."),
        new("num_ln_in_parallel_attn", "integer", null, "[1,2]", "Norms of a block of that shape; 2 where it is not given."),
        new("multi_query", "boolean", "true", "", "Of the other shape: whether all queries share one key and value head."),
        new("parallel_attn", "boolean", "true", "", "Of the other shape: whether attention and feed-forward part both read a block's input, not one after the other."),
        new("bias", "boolean", "false", "", "Whether the blocks' linear layers have biases."),
    ];

    public DecoderSpec Describe(ArchitectureConfig config)
    {
        if (config.Bool("alibi") == true) throw config.Wrong("alibi", "false or absent: scores that fall with the distance (Falcon RW) are not computed, rotary positions are");
        if (config.Int("n_embed") is not null) throw config.Wrong("n_embed", "absent: hidden_size says the width");
        var isNew = config.Bool("new_decoder_architecture") == true;
        var oneKey = !isNew && (config.Bool("multi_query") ?? true);
        long hidden = config.HiddenSize, heads = config.HeadCount, keys = oneKey ? 1 : KeyHeads(config, heads, isNew);
        var block = Block(config, hidden, (heads + (2 * keys)) * (hidden / heads), Norms(config, isNew)) with { FusedByHead = !oneKey };
        return (DecoderShape.WithLayerNorm(config, new("transformer.word_embeddings", "transformer.h.", "transformer.ln_f"), block) with { KeyValueHeads = keys, Rope = config.Rope }).TurningWhole();
    }

    // Of the older shape num_kv_heads counts only where it says nothing new.
    private static long KeyHeads(ArchitectureConfig config, long heads, bool isNew)
    {
        var given = config.Int("num_kv_heads", 1) ?? heads;
        if (heads % given != 0) throw config.Wrong("num_kv_heads", $"a divisor of num_attention_heads, which is {heads}");
        return isNew || given == heads ? given : throw config.Wrong("num_kv_heads", $"{heads} (num_attention_heads) or absent where new_decoder_architecture and multi_query are false");
    }

    // Of attention and of the feed-forward part, and whether both parts read a block's input.
    private static (string Attention, string FeedForward, bool Parallel) Norms(ArchitectureConfig config, bool isNew)
    {
        var (parallel, count) = (config.Bool("parallel_attn") ?? true, config.Int("num_ln_in_parallel_attn", 1, 2));
        if (isNew && !parallel) throw config.Wrong("parallel_attn", "true or absent where new_decoder_architecture is true");
        if (!parallel) return ("input_layernorm", "post_attention_layernorm", false);
        if (!isNew && count == 2) throw config.Wrong("num_ln_in_parallel_attn", "1 or absent where new_decoder_architecture is false");
        return isNew && count is null or 2 ? ("ln_attn", "ln_mlp", true) : ("input_layernorm", "input_layernorm", true);
    }

    private static BlockSpec Block(ArchitectureConfig config, long hidden, long joined, (string Attention, string FeedForward, bool Parallel) norms)
    {
        var bias = config.Bool("bias") ?? false;
        long inner = config.Int("ffn_hidden_size", 1) ?? 4 * hidden;
        LinearSpec Linear(string name, long inputs, long outputs) => new(name, inputs, outputs) { Bias = bias };
        return new BlockSpec
        {
            Parallel = norms.Parallel,
            AttentionNorm = norms.Attention,
            AttentionInputs = [Linear("self_attention.query_key_value", hidden, joined)],
            AttentionOutput = Linear("self_attention.dense", hidden, hidden),
            FeedForwardNorm = norms.FeedForward,
            FeedForwardInputs = [Linear("mlp.dense_h_to_4h", hidden, inner)],
            Gated = false,
            Activation = config.ActivationOr(Activation.Gelu),
            FeedForwardOutput = Linear("mlp.dense_4h_to_h", inner, hidden),
        };
    }
}
