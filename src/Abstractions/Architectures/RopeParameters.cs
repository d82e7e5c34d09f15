// Rotary positions and how they are scaled beyond the context that a model was trained on. Sources: Su et al. 2021 (RoPE),
// Peng et al. 2023 (YaRN), Ding et al. 2024 (LongRoPE), Dubey et al. 2024 (Llama 3.1's).

namespace PeftAlign.Abstractions;

/// <summary>Parameters of rotary positions. Those that the type does not use are null.</summary>
/// <param name="Type">default, linear, dynamic, yarn, longrope or llama3.</param>
/// <param name="Theta">The base of the frequencies.</param>
public sealed record RopeParameters(string Type, double Theta)
{
    /// <summary>The known types.</summary>
    public static readonly IReadOnlyList<string> Types = ["default", "linear", "dynamic", "yarn", "longrope", "llama3"];

    /// <summary>The factor by which the context was extended.</summary>
    public double? Factor { get; init; }

    /// <summary>Number of positions that the model was trained on before the context was extended.</summary>
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

    /// <summary>llama3: frequencies that turn fewer times than this over the original context are interpolated.</summary>
    public double? LowFreqFactor { get; init; }

    /// <summary>llama3: frequencies that turn more times than this over the original context stay as they are.</summary>
    public double? HighFreqFactor { get; init; }

    /// <summary>longrope: one factor per frequency up to <see cref="OriginalMaxPositions"/>.</summary>
    public IReadOnlyList<double>? ShortFactor { get; init; }

    /// <summary>longrope: one factor per frequency beyond it.</summary>
    public IReadOnlyList<double>? LongFactor { get; init; }

    /// <summary>Share of each head's dimensions that is rotated; 1 = all.</summary>
    public double PartialRotaryFactor { get; init; } = 1;
}
