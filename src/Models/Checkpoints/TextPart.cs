// Checkpoints of several parts: their config.json has the decoder's keys in an object of its own (text_config), beside those of a part
// that reads images. A decoder is read as if its keys stood alone.

using System.Text.Json;
using System.Text.Json.Nodes;

namespace PeftAlign.Models.Checkpoints;

/// <summary>The decoder's part of a config.json.</summary>
internal static class TextPart
{
    private const string Key = "text_config", Type = "gemma3", TextType = "gemma3_text";

    // Keys that count where they stand in the whole object; every other one is text_config's.
    private static readonly HashSet<string> OfWhole =
        ["model_type", "architectures", "auto_map", "tie_word_embeddings", "quantization_config", "dtype", "torch_dtype", "bos_token_id", "eos_token_id", "id2label", "label2id", "num_labels"];

    /// <summary>Whether a model type's keys lie in text_config.</summary>
    internal static bool IsNested(string? modelType) => modelType == Type;

    /// <summary>What errors put before a key's name.</summary>
    internal static string Before(string key) => OfWhole.Contains(key) ? "" : Key + ".";

    /// <summary>The keys that a decoder is described by; null = the whole object's, as of most models.</summary>
    /// <param name="file">config.json, for messages.</param>
    /// <param name="json">The whole object.</param>
    /// <exception cref="Abstractions.UserErrorException">text_config is no object, or of another model type.</exception>
    internal static JsonElement? Of(string file, JsonElement json)
    {
        var reader = new ConfigReader(file, json);
        if (!(json.TryGetProperty("model_type", out var type) && type.ValueKind == JsonValueKind.String && IsNested(type.GetString()))) return null;
        var view = Defaults();
        if (reader.Child(Key) is { } text)
        {
            if (text.Text("model_type") is { } own && own != TextType) throw text.Wrong("model_type", own, $"{TextType} or absent in a {Type}");
            foreach (var property in text.Json.EnumerateObject()) view[property.Name] = JsonNode.Parse(property.Value.GetRawText());
        }
        view.Remove("tie_word_embeddings");
        if (reader.Has("dtype") || reader.Has("torch_dtype")) view.Remove("dtype");
        foreach (var property in json.EnumerateObject().Where(p => OfWhole.Contains(p.Name))) view[property.Name] = JsonNode.Parse(property.Value.GetRawText());
        return JsonSerializer.SerializeToElement(view);
    }

    /// <summary>The object of a config.json that holds the decoder's sizes, to be changed.</summary>
    /// <param name="config">The whole object.</param>
    internal static JsonObject In(JsonObject config)
    {
        if (!IsNested((string?)config["model_type"])) return config;
        if (config[Key] is not JsonObject) config[Key] = new JsonObject();
        return config[Key]!.AsObject();
    }

    // What transformers' class has where text_config does not say; releases leave out what equals it, sizes too.
    private static JsonObject Defaults()
    {
        var known = ClassDefaults.Of(TextType);
        return new()
        {
            ["vocab_size"] = 262208,
            ["hidden_size"] = 2304,
            ["intermediate_size"] = 9216,
            ["num_hidden_layers"] = 26,
            ["num_attention_heads"] = 8,
            ["num_key_value_heads"] = known.KeyValueHeads,
            ["head_dim"] = known.HeadWidth,
            ["max_position_embeddings"] = known.Positions,
            ["sliding_window"] = known.Window,
            ["pad_token_id"] = known.Pad,
            ["eos_token_id"] = 1,
            ["bos_token_id"] = 2,
            ["rms_norm_eps"] = 1e-6,
            ["query_pre_attn_scalar"] = 256,
        };
    }
}
