// Rotary position parameters of config.json in both spellings: rope_parameters (transformers 5) and rope_theta +
// rope_scaling with `type` or `rope_type` (before). Where both are there, rope_scaling counts, as in transformers.

using System.Text.Json;
using PeftAlign.Abstractions;

namespace PeftAlign.Models.Checkpoints;

internal static class RopeReader
{
    private const string Full = "full_attention", Sliding = "sliding_attention";

    // Bases where config.json does not say, as transformers' classes have them.
    private static readonly Dictionary<string, double> Bases = new() { ["smollm3"] = 2e6, ["gemma3_text"] = 1e6, ["gemma3"] = 1e6, ["olmo3"] = 5e5, ["cohere"] = 5e5 };

    // Types whose layers with a window have rotary positions of their own: their base, and the key that says it beside rope_scaling.
    private static readonly Dictionary<string, (double Base, string? Key)> Kinds = new() { ["gemma3_text"] = (1e4, "rope_local_base_freq"), ["gemma3"] = (1e4, "rope_local_base_freq"), ["olmo3"] = (5e5, null) };

    /// <summary>Reads the parameters, or those of one kind of layer where config.json gives each kind its own.</summary>
    internal static RopeParameters Read(ConfigReader config, string modelType, string? layerType)
    {
        if (Kinds.TryGetValue(modelType, out var sliding)) return OfKind(config, layerType ?? Full, Bases[modelType], sliding);
        var scaling = config.Child("rope_scaling") ?? config.Child("rope_parameters");
        if (scaling is { } all && all.Values().Any(v => v.ValueKind == JsonValueKind.Object))
            scaling = layerType is null ? all.Child("full_attention") : all.Child(layerType) ?? throw all.Wrong(layerType, null, "parameters for this kind of layer");
        var theta = scaling?.Positive("rope_theta") ?? config.Positive("rope_theta") ?? config.Positive("rotary_emb_base") ?? Bases.GetValueOrDefault(modelType, 10000);
        var partial = (scaling is { } inner ? Share(inner) : null) ?? Share(config) ?? 1;
        return scaling is { } s ? Scaled(config, s, theta, partial) : new RopeParameters("default", theta) { PartialRotaryFactor = partial };
    }

    // rope_scaling and rope_theta are those of layers that see all.
    private static RopeParameters OfKind(ConfigReader config, string kind, double standard, (double Base, string? Key) sliding)
    {
        var given = config.Child("rope_parameters");
        if (given is { } flat && flat.Values().Any(value => value.ValueKind is not (JsonValueKind.Object or JsonValueKind.Null)))
            throw config.Wrong("rope_parameters", flat.Json, $"an object with {Full} and {Sliding}, one for each kind of layer");
        var own = given?.Child(kind);
        var theta = own?.Positive("rope_theta") ?? (kind == Full ? config.Positive("rope_theta") ?? standard : (sliding.Key is { } key ? config.Positive(key) : null) ?? sliding.Base);
        var beside = kind == Full ? config.Child("rope_scaling") : null;
        // These classes read no `type` there, by which the scaling would go unnoticed.
        if (beside is { } old && !old.Has("rope_type")) throw old.Wrong("rope_type", null, "one of " + string.Join(", ", RopeParameters.Types));
        var scaling = beside ?? own;
        return scaling is { } s ? Scaled(config, s, s.Positive("rope_theta") ?? theta, Share(s) ?? 1) : new RopeParameters("default", theta);
    }

    private static double? Share(ConfigReader reader) => reader.Positive("partial_rotary_factor") switch
    {
        > 1 and var partial => throw reader.Wrong("partial_rotary_factor", partial, "a share of at most 1"),
        var partial => partial,
    };

    private static RopeParameters Scaled(ConfigReader config, ConfigReader s, double theta, double partial)
    {
        var rope = new RopeParameters(TypeOf(s), theta)
        {
            PartialRotaryFactor = partial,
            Factor = s.Positive("factor"),
            // transformers: the key beside rope_parameters wins (Phi-3 keeps it there).
            OriginalMaxPositions = config.Size("original_max_position_embeddings") ?? s.Size("original_max_position_embeddings"),
            AttentionFactor = s.Positive("attention_factor"),
            BetaFast = s.Positive("beta_fast"),
            BetaSlow = s.Positive("beta_slow"),
            Mscale = s.Number("mscale"),
            MscaleAllDim = s.Number("mscale_all_dim"),
            Truncate = s.Bool("truncate"),
            LowFreqFactor = s.Positive("low_freq_factor"),
            HighFreqFactor = s.Positive("high_freq_factor"),
            ShortFactor = s.PositiveList("short_factor"),
            LongFactor = s.PositiveList("long_factor"),
        };
        Check(rope, s);
        return rope;
    }

    private static string TypeOf(ConfigReader s)
    {
        var key = s.Has("rope_type") ? "rope_type" : "type";
        var type = s.Text(key) ?? "default";
        // Phi-3's first releases: "su" was longrope's name, and "yarn" with two lists of factors means longrope too.
        if (type == "su" || (type == "yarn" && s.Has("short_factor"))) return "longrope";
        if (RopeParameters.Types.Contains(type)) return type;
        throw s.Wrong(key, type, "one of " + string.Join(", ", RopeParameters.Types));
    }

    private static void Check(RopeParameters rope, ConfigReader s)
    {
        if (rope.Type is "linear" or "dynamic" or "yarn" or "llama3" && rope.Factor is null) throw s.Wrong("factor", null, $"a positive number, which rope type {rope.Type} needs");
        if (rope.Type == "longrope")
        {
            if (rope.ShortFactor is null || rope.LongFactor is null) throw s.Wrong(rope.ShortFactor is null ? "short_factor" : "long_factor", null, "a list of factors, which rope type longrope needs");
            if (rope.ShortFactor.Count != rope.LongFactor.Count) throw s.Wrong("long_factor", $"a list of {rope.LongFactor.Count}", $"as long as short_factor, which has {rope.ShortFactor.Count}");
        }
        if (rope.Type != "llama3") return;
        if (rope.OriginalMaxPositions is null) throw s.Wrong("original_max_position_embeddings", null, "a size, which rope type llama3 needs");
        if (rope.LowFreqFactor is null || rope.HighFreqFactor is null) throw s.Wrong(rope.LowFreqFactor is null ? "low_freq_factor" : "high_freq_factor", null, "a positive number, which rope type llama3 needs");
        if (rope.HighFreqFactor <= rope.LowFreqFactor) throw s.Wrong("high_freq_factor", rope.HighFreqFactor, $"more than low_freq_factor, which is {rope.LowFreqFactor}");
    }
}
