// How a model draws answers for rows that are made of them. Always at random: the same answer each time would give nothing to prefer.

using PeftAlign.Abstractions;

namespace PeftAlign.Data.Sampling;

/// <summary>How answers are drawn.</summary>
public sealed class SamplingOptions
{
    /// <summary>Sampling temperature.</summary>
    [OptionRange(0, ExclusiveMinimum = true)]
    public double Temperature { get; set; } = 1;

    /// <summary>Nucleus sampling: keeps the likeliest tokens whose probabilities reach this sum; 1 = all.</summary>
    [OptionRange(0, 1, ExclusiveMinimum = true)]
    public double TopP { get; set; } = 1;

    /// <summary>Most new tokens.</summary>
    [OptionRange(1)]
    public int MaxNewTokens { get; set; } = 128;

    /// <summary>Asks for answers.</summary>
    /// <param name="prompt">The text before them.</param>
    /// <param name="samples">How many.</param>
    /// <param name="seed">Decides their draws.</param>
    internal EvalRequest.Generate Ask(string prompt, int samples, long seed) => new(prompt)
    {
        MaxNewTokens = MaxNewTokens,
        Temperature = Temperature,
        TopP = TopP,
        Samples = samples,
        Seed = (ulong)seed,
    };
}
