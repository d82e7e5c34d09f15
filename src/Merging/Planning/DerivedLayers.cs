// What a layer is by its number alone, where config.json has no list of it: attention over a window or over all of the text, with or
// without rotation. The rules are those of the configuration classes of transformers 5.23. Slices that move layers would change them.

using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models.Checkpoints;

namespace PeftAlign.Merging;

internal static class DerivedLayers
{
    private const string Types = "layer_types", Full = "full_attention", Sliding = "sliding_attention";

    // The last of so many layers sees all; the key that says how many, where there is one.
    private static readonly Dictionary<string, (string? Key, int Period)> EndsFull = new()
    {
        ["gemma2"] = (null, 2),
        ["vaultgemma"] = (null, 2),
        ["gpt_oss"] = (null, 2),
        ["olmo3"] = (null, 4),
        ["gemma3_text"] = ("sliding_window_pattern", 6),
        ["gemma3"] = ("sliding_window_pattern", 6),
        ["cohere2"] = ("sliding_window_pattern", 4),
        ["exaone4"] = ("sliding_window_pattern", 4),
        ["afmoe"] = ("global_attn_every_n_layers", 4),
    };

    // The first of four sees all.
    private static readonly string[] BeginsFull = ["cwm", "granite_swa"];

    // A window only where it is switched on: from a layer on (here the class's own), of qwen2_moe in every other layer before it.
    private static readonly Dictionary<string, int> Switched = new() { ["qwen2"] = 28, ["qwen2_moe"] = 28, ["qwen3"] = 28, ["dots1"] = 62 };

    // Others whose layers differ by their number; several have other weights there as well.
    private static readonly string[] ByNumber =
    [
        "axk1", "axk2", "bailing_hybrid", "beam", "cohere2_moe", "deepseek_v32", "deepseek_v4", "diffusion_gemma_text", "dots3_note_text", "embedding_gemma2_text",
        "ernie4_5_vl_moe_text", "exaone_moe", "flint", "gemma3n_text", "gemma4_text", "gemma4_unified_text", "glm4_moe_lite", "glm5_next_text", "glm_moe_dsa",
        "granitemoe_swa", "hy_v3", "hy_v4", "inkling2_text", "inkling_text", "jamba", "kimi_linear", "kolibri1", "laguna", "lfm2", "lfm3", "llama4_text",
        "mimo_v2_flash", "minimax", "mistral_large4_text", "modernbert", "modernbert-decoder", "muse_glimmer_text", "muse_spark_text", "nemotron_h", "neomme",
        "olmo_hybrid", "qwen3_5_moe_text", "qwen3_5_text", "qwen3_next", "qwen4_exp_text", "recurrent_gemma", "step3p5", "ultrabert", "unlimited_ocr_text",
        "zamba", "zamba2",
    ];

    /// <summary>The key of config.json that would say it, and what a loader takes each of so many layers for without that key; null where all layers of the type are alike.</summary>
    internal static (string Key, IReadOnlyList<JsonNode?> Kinds)? Of(ModelConfig config, int layers)
    {
        (string, IReadOnlyList<JsonNode?>) List(string key, Func<int, JsonNode> kind) => (key, [.. Enumerable.Range(0, layers).Select(kind)]);
        (string, IReadOnlyList<JsonNode?>) Windows(Func<int, bool> seesAll) => List(Types, layer => seesAll(layer) ? Full : Sliding);
        var type = config.ModelType;
        if (EndsFull.TryGetValue(type, out var rule) && (rule.Key is null ? rule.Period : Count(config, rule.Key, rule.Period)) is { } period) return Windows(layer => (layer + 1) % period == 0);
        if (BeginsFull.Contains(type)) return Windows(layer => layer % 4 == 0);
        if (Switched.TryGetValue(type, out var standard))
        {
            var (has, border) = (HasWindows(config), config.Int("max_window_layers", 0) ?? standard);
            return Windows(layer => !has || (type is "qwen2_moe" ? layer % 2 == 1 || layer >= border : layer < border));
        }
        if (type is "gpt_neo" && !config.Has("attention_layers")) return List("attention_types", layer => layer % 2 == 0 ? "global" : "local");
        if (type is "smollm3" && Count(config, "no_rope_layer_interval", 4) is { } interval) return List("no_rope_layers", layer => (layer + 1) % interval == 0 ? 0 : 1);
        return null;
    }

    /// <summary>Whether the model has a window or the like for some of its layers.</summary>
    internal static bool HasWindows(ModelConfig config) => !Switched.ContainsKey(config.ModelType)
        || ((config.ModelType is "dots1" || config.Bool("use_sliding_window") == true) && !(config.Json.TryGetProperty("sliding_window", out var window) && window.ValueKind == JsonValueKind.Null));

    /// <summary>Refuses a model of a type whose rule is not known here.</summary>
    /// <param name="model">A model whose layers are moved.</param>
    /// <param name="isListed">Whether its config.json lists what each of its layers is.</param>
    /// <exception cref="UserErrorException">Its layers differ by their number, and it does not list them.</exception>
    internal static void ThrowIfUnknown(InputModel model, bool isListed)
    {
        var config = model.Config;
        var hasOddRule = (EndsFull.ContainsKey(config.ModelType) || config.ModelType is "smollm3") && Of(config, config.LayerCount) is null;
        if ((!hasOddRule && !ByNumber.Contains(config.ModelType)) || isListed) return;
        throw new UserErrorException($"{model.Name} is of model_type {config.ModelType}, whose layers differ by their number, and its config.json does not list what each of its {config.LayerCount} layers is: the slices move layers, which would change them. Write the list ({Types}, as save_pretrained of transformers does) into its config.json, or keep every layer at its place.");
    }

    // Null where it is no number that layers can be counted by, as a pattern of letters.
    private static int? Count(ModelConfig config, string key, int standard) =>
        !config.Json.TryGetProperty(key, out var value) ? standard : value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var count) && count > 0 ? count : null;
}
