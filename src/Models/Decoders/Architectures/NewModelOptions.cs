// What a new model of any decoder architecture can be told: keys of config.json with defaults for a small model.

using PeftAlign.Abstractions;

namespace PeftAlign.Models.Decoders;

/// <summary>Options of new models.</summary>
public static class NewModelOptions
{
    private static readonly InitOption Vocabulary = new("vocab_size", "integer", null, "[2,)", "Number of token ids; the tokenizer's where it is not given.");

    private static readonly InitOption[] Tokens =
    [
        new("bos_token_id", "integer", null, "[0,)", "Token put before a text."),
        new("eos_token_id", "integer", null, "[0,)", "Token that ends a text."),
        new("pad_token_id", "integer", null, "[0,)", "Token for padding."),
    ];

    /// <summary>Padding that is named as none: where the key is absent, these types' classes in transformers take a token that a small vocabulary does not have.</summary>
    internal static InitOption NoPadding { get; } = new("pad_token_id", "integer", "null", "[0,)", "Token for padding.");

    private static readonly InitOption Range = new("initializer_range", "number", "0.02", "(0,)", "Standard deviation of new weights.");

    /// <summary>Whether the head is tied; not, unless an architecture says otherwise.</summary>
    public static InitOption Tied { get; } = new("tie_word_embeddings", "boolean", "false", "", "Whether the output head is the embedding.");

    /// <summary>Whether attention has biases.</summary>
    internal static InitOption AttentionBias { get; } = new("attention_bias", "boolean", "false", "", "Whether queries, keys, values and the output of attention have biases.");

    /// <summary>Whether the feed-forward part has biases.</summary>
    internal static InitOption FeedForwardBias { get; } = new("mlp_bias", "boolean", "false", "", "Whether the layers of the feed-forward part have biases.");

    /// <summary>What scores are divided by the square root of, where it is not the width of a head.</summary>
    internal static InitOption ScoreDivisor { get; } = new("query_pre_attn_scalar", "integer", "16", "[1,)", "Scores are divided by its square root.");

    /// <summary>Width of a head, for architectures that need not divide the hidden size.</summary>
    public static InitOption HeadWidth { get; } = new("head_dim", "integer", null, "[1,)", "Width of a head; hidden size / heads where it is not given.");

    /// <summary>The options of LLaMA's shape, which other architectures extend.</summary>
    public static IReadOnlyList<InitOption> Llama { get; } =
    [
        Vocabulary, Hidden("hidden_size"), Inner("intermediate_size"), Layers("num_hidden_layers"), Heads("num_attention_heads"),
        new("num_key_value_heads", "integer", null, "[1,)", "Number of key and value heads; as many as query heads where it is not given."),
        Positions("max_position_embeddings"),
        new("rms_norm_eps", "number", "1e-5", "(0,)", "Epsilon of the norms."),
        new("rope_theta", "number", "10000", "(0,)", "Base of the rotary frequencies."),
        Range, Tied, .. Tokens,
    ];

    /// <summary>The options of Gemma's shape: LLaMA's with a tied head and a width of heads of its own.</summary>
    internal static IReadOnlyList<InitOption> Gemma { get; } =
    [
        .. Llama.Where(option => option.Name != Tied.Name), Tied with { Default = "true" }, HeadWidth with { Default = "16" },
    ];

    /// <summary>The options of GPT-2's shape, under an architecture's own names.</summary>
    internal static IReadOnlyList<InitOption> Gpt(string hidden, string inner, string layers, string heads, string positions) =>
    [
        Vocabulary, Hidden(hidden), Inner(inner), Layers(layers), Heads(heads), Positions(positions),
        new("layer_norm_epsilon", "number", "1e-5", "(0,)", "Epsilon of the norms."),
        Range, Tied with { Default = "true" }, .. Tokens,
    ];

    private static InitOption Hidden(string name) => new(name, "integer", "64", "[2,)", "Width of the residual stream.");

    private static InitOption Inner(string name) => new(name, "integer", "176", "[1,)", "Width inside the feed-forward part.");

    private static InitOption Layers(string name) => new(name, "integer", "2", "[1,)", "Number of blocks.");

    private static InitOption Heads(string name) => new(name, "integer", "4", "[1,)", "Number of query heads.");

    private static InitOption Positions(string name) => new(name, "integer", "2048", "[2,)", "Most positions.");
}
