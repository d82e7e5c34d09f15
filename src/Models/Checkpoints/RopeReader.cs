// Rotary position parameters of config.json in both spellings: rope_parameters (transformers 5) and rope_theta +
// rope_scaling with `type` or `rope_type` (before). Where both are there, rope_scaling counts, as in transformers.

using System.Text.Json;
using PeftAlign.Abstractions;

namespace PeftAlign.Models.Checkpoints;

internal static class RopeReader
{
    private const string Full = "full_attention", Sliding = "sliding_attention";

    private static readonly Rule Gemma3 = new() { Base = 1e6, Sliding = (1e4, "rope_local_base_freq") };

    // What a type's class in transformers takes and reads where others have 10000 under rope_theta, and 1 under partial_rotary_factor.
    private static readonly Dictionary<string, Rule> Rules = new()
    {
        ["cohere"] = new() { Base = 5e5 },
        ["gemma3"] = Gemma3,
        ["gemma3_text"] = Gemma3,
        ["gpt_neox"] = new() { BaseKey = "rotary_emb_base", Share = 0.25, ShareKey = "rotary_pct" },
        ["olmo3"] = new() { Base = 5e5, Sliding = (5e5, null) },
        ["phi"] = new() { Share = 0.5 },
        ["phi3"] = new() { OriginalBeside = true },
        ["smollm3"] = new() { Base = 2e6 },
        ["stablelm"] = new() { Share = 0.25 },
    };

    /// <summary>How a type's class reads rotary positions.</summary>
    private sealed record Rule
    {
        internal double Base { get; init; } = 10000;

        /// <summary>Key of the base beside rope_parameters.</summary>
        internal string BaseKey { get; init; } = "rope_theta";

        internal double Share { get; init; } = 1;

        /// <summary>Key of the share beside rope_parameters.</summary>
        internal string ShareKey { get; init; } = "partial_rotary_factor";

        /// <summary>Whether original_max_position_embeddings stands beside rope_parameters, where it counts first.</summary>
        internal bool OriginalBeside { get; init; }

        /// <summary>Of types whose layers with a window have rotary positions of their own: their base, and the key that says it beside rope_scaling.</summary>
        internal (double Base, string? Key)? Sliding { get; init; }
    }

    /// <summary>Reads the parameters, or those of one kind of layer where config.json gives each kind its own.</summary>
    internal static RopeParameters Read(ConfigReader config, string modelType, string? layerType)
    {
        var rule = Rules.GetValueOrDefault(modelType) ?? new Rule();
        if (rule.Sliding is { } sliding) return OfKind(rule, config, layerType ?? Full, sliding);
        // As in transformers an empty object says nothing.
        var scaling = Filled(config, "rope_scaling") ?? Filled(config, "rope_parameters");
        if (scaling is { } all && all.Values().Any(v => v.ValueKind == JsonValueKind.Object))
            scaling = layerType is null ? all.Child("full_attention") : all.Child(layerType) ?? throw all.Wrong(layerType, null, "parameters for this kind of layer");
        var theta = scaling?.Positive("rope_theta") ?? config.Positive(rule.BaseKey) ?? rule.Base;
        var share = (scaling is { } inner ? Share(inner) : null) ?? Share(config, rule.ShareKey) ?? rule.Share;
        return scaling is { } s ? Scaled(rule, config, s, theta, share) : new RopeParameters("default", theta) { PartialRotaryFactor = share };
    }

    private static ConfigReader? Filled(ConfigReader config, string key) => config.Child(key) is { } child && child.Values().Any() ? child : null;

    // rope_scaling and rope_theta are those of layers that see all.
    private static RopeParameters OfKind(Rule rule, ConfigReader config, string kind, (double Base, string? Key) sliding)
    {
        var given = config.Child("rope_parameters");
        if (given is { } flat && flat.Values().Any(value => value.ValueKind is not (JsonValueKind.Object or JsonValueKind.Null)))
            throw config.Wrong("rope_parameters", flat.Json, $"an object with {Full} and {Sliding}, one for each kind of layer");
        var own = given?.Child(kind);
        var theta = own?.Positive("rope_theta") ?? (kind == Full ? config.Positive("rope_theta") ?? rule.Base : (sliding.Key is { } key ? config.Positive(key) : null) ?? sliding.Base);
        var beside = kind == Full ? config.Child("rope_scaling") : null;
        // These classes read no `type` there, by which the scaling would go unnoticed.
        if (beside is { } old && !old.Has("rope_type")) throw old.Wrong("rope_type", null, "one of " + string.Join(", ", RopeParameters.Types));
        var scaling = beside ?? own;
        return scaling is { } s ? Scaled(rule, config, s, s.Positive("rope_theta") ?? theta, Share(s) ?? 1) : new RopeParameters("default", theta);
    }

    private static double? Share(ConfigReader reader, string key = "partial_rotary_factor") => reader.Positive(key) switch
    {
        > 1 and var share => throw reader.Wrong(key, share, "a share above 0 and at most 1"),
        var share => share,
    };

    private static RopeParameters Scaled(Rule rule, ConfigReader config, ConfigReader s, double theta, double partial)
    {
        var rope = new RopeParameters(TypeOf(s), theta)
        {
            PartialRotaryFactor = partial,
            Factor = s.Positive("factor"),
            OriginalMaxPositions = (rule.OriginalBeside ? config.Size("original_max_position_embeddings") : null) ?? s.Size("original_max_position_embeddings"),
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
        if (rope.LowFreqFactor is null || rope.HighFreqFactor is null) throw s.Wrong(rope.LowFreqFactor is null ? "low_freq_factor" : "high_freq_factor", null, "a positive number, which rope type llama3 needs");
        if (rope.HighFreqFactor <= rope.LowFreqFactor) throw s.Wrong("high_freq_factor", rope.HighFreqFactor, $"more than low_freq_factor, which is {rope.LowFreqFactor}");
    }
}
