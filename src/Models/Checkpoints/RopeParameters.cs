// Rotary position parameters of config.json in both spellings: rope_parameters (transformers 5) and rope_theta +
// rope_scaling with `type` or `rope_type` (before). Where both are there, rope_scaling counts, as in transformers.

using System.Text.Json;

namespace PeftAlign.Models.Checkpoints;

/// <summary>How rotary positions turn. Fields that the type does not use are null.</summary>
/// <param name="Type">default, linear, dynamic, yarn, longrope or llama3.</param>
/// <param name="Theta">The base of the frequencies.</param>
public sealed record RopeParameters(string Type, double Theta)
{
    /// <summary>The known types.</summary>
    public static readonly IReadOnlyList<string> Types = ["default", "linear", "dynamic", "yarn", "longrope", "llama3"];

    /// <summary>By how much the context was stretched.</summary>
    public double? Factor { get; init; }

    /// <summary>Positions that the model was trained on before stretching.</summary>
    public int? OriginalMaxPositions { get; init; }

    /// <summary>yarn, longrope: multiplies cos and sin instead of the value computed from the factor.</summary>
    public double? AttentionFactor { get; init; }

    /// <summary>yarn: fastest rotation that is left as it is.</summary>
    public double? BetaFast { get; init; }

    /// <summary>yarn: slowest rotation before full interpolation.</summary>
    public double? BetaSlow { get; init; }

    /// <summary>yarn: scale of the attention factor.</summary>
    public double? Mscale { get; init; }

    /// <summary>yarn: scale of the attention factor's denominator.</summary>
    public double? MscaleAllDim { get; init; }

    /// <summary>yarn: whether the range's bounds are rounded to whole dimensions.</summary>
    public bool? Truncate { get; init; }

    /// <summary>llama3: below it frequencies are interpolated.</summary>
    public double? LowFreqFactor { get; init; }

    /// <summary>llama3: above it frequencies stay.</summary>
    public double? HighFreqFactor { get; init; }

    /// <summary>longrope: one factor per frequency up to <see cref="OriginalMaxPositions"/>.</summary>
    public IReadOnlyList<double>? ShortFactor { get; init; }

    /// <summary>longrope: one factor per frequency beyond it.</summary>
    public IReadOnlyList<double>? LongFactor { get; init; }

    /// <summary>Part of each head's dimensions that turns; 1 = all.</summary>
    public double PartialRotaryFactor { get; init; } = 1;

    /// <summary>Reads the parameters, or those of one kind of layer where config.json gives each kind its own.</summary>
    internal static RopeParameters Read(ConfigReader config, string? layerType)
    {
        var scaling = config.Child("rope_scaling") ?? config.Child("rope_parameters");
        if (scaling is { } all && all.Values().Any(v => v.ValueKind == JsonValueKind.Object))
            scaling = layerType is null ? all.Child("full_attention") : all.Child(layerType) ?? throw all.Wrong(layerType, null, "parameters for this kind of layer");
        var theta = scaling?.Positive("rope_theta") ?? config.Positive("rope_theta") ?? config.Positive("rotary_emb_base") ?? 10000;
        var partial = scaling?.Positive("partial_rotary_factor") ?? config.Positive("partial_rotary_factor") ?? 1;
        if (partial > 1) throw (scaling ?? config).Wrong("partial_rotary_factor", partial, "a share of at most 1");
        return scaling is { } s ? Scaled(config, s, theta, partial) : new RopeParameters("default", theta) { PartialRotaryFactor = partial };
    }

    private static RopeParameters Scaled(ConfigReader config, ConfigReader s, double theta, double partial)
    {
        var rope = new RopeParameters(TypeOf(s), theta)
        {
            PartialRotaryFactor = partial,
            Factor = s.Positive("factor"),
            OriginalMaxPositions = s.Size("original_max_position_embeddings") ?? config.Size("original_max_position_embeddings"),
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
        rope.Check(s);
        return rope;
    }

    private static string TypeOf(ConfigReader s)
    {
        var key = s.Has("rope_type") ? "rope_type" : "type";
        var type = s.Text(key) ?? "default";
        // Phi-3's first releases: "su" was longrope's name, and "yarn" with two lists of factors means longrope too.
        if (type == "su" || (type == "yarn" && s.Has("short_factor"))) return "longrope";
        if (Types.Contains(type)) return type;
        throw s.Wrong(key, type, "one of " + string.Join(", ", Types));
    }

    private void Check(ConfigReader s)
    {
        if (Type is "linear" or "dynamic" or "yarn" or "llama3" && Factor is null) throw s.Wrong("factor", null, $"a positive number, which rope type {Type} needs");
        if (Type == "longrope")
        {
            if (ShortFactor is null || LongFactor is null) throw s.Wrong(ShortFactor is null ? "short_factor" : "long_factor", null, "a list of factors, which rope type longrope needs");
            if (ShortFactor.Count != LongFactor.Count) throw s.Wrong("long_factor", $"a list of {LongFactor.Count}", $"as long as short_factor, which has {ShortFactor.Count}");
        }
        if (Type != "llama3") return;
        if (OriginalMaxPositions is null) throw s.Wrong("original_max_position_embeddings", null, "a size, which rope type llama3 needs");
        if (LowFreqFactor is null || HighFreqFactor is null) throw s.Wrong(LowFreqFactor is null ? "low_freq_factor" : "high_freq_factor", null, "a positive number, which rope type llama3 needs");
        if (HighFreqFactor <= LowFreqFactor) throw s.Wrong("high_freq_factor", HighFreqFactor, $"more than low_freq_factor, which is {LowFreqFactor}");
    }
}
