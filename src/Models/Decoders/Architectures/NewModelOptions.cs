// What a new model of any decoder architecture can be told: keys of config.json with defaults for a small model.

using PeftAlign.Abstractions;

namespace PeftAlign.Models.Decoders;

/// <summary>Options of new models.</summary>
public static class NewModelOptions
{
    /// <summary>The options of LLaMA's shape, which other architectures extend.</summary>
    public static IReadOnlyList<InitOption> Llama { get; } =
    [
        new("vocab_size", "integer", null, "[2,)", "Number of token ids; the tokenizer's where it is not given."),
        new("hidden_size", "integer", "64", "[2,)", "Width of the residual stream."),
        new("intermediate_size", "integer", "176", "[1,)", "Width inside the feed-forward part."),
        new("num_hidden_layers", "integer", "2", "[1,)", "Number of blocks."),
        new("num_attention_heads", "integer", "4", "[1,)", "Number of query heads."),
        new("num_key_value_heads", "integer", null, "[1,)", "Number of key and value heads; as many as query heads where it is not given."),
        new("max_position_embeddings", "integer", "2048", "[2,)", "Most positions."),
        new("rms_norm_eps", "number", "1e-5", "(0,)", "Epsilon of the norms."),
        new("rope_theta", "number", "10000", "(0,)", "Base of the rotary frequencies."),
        .. Common,
    ];

    /// <summary>The options of every architecture.</summary>
    public static IReadOnlyList<InitOption> Common =>
    [
        new("initializer_range", "number", "0.02", "(0,)", "Standard deviation of new weights."),
        new("tie_word_embeddings", "boolean", "false", "", "Whether the output head is the embedding."),
        new("bos_token_id", "integer", null, "[0,)", "Token put before a text."),
        new("eos_token_id", "integer", null, "[0,)", "Token that ends a text."),
        new("pad_token_id", "integer", null, "[0,)", "Token for padding."),
    ];
}
