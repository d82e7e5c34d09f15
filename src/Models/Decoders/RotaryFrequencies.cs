// The frequencies of rotary positions under every kind of stretching, as transformers computes them. dynamic and longrope
// depend on the length of the whole sequence; a length stands here for all lengths that give the same frequencies.
// Sources: Su et al. 2021; Peng et al. 2023 (YaRN); Ding et al. 2024 (LongRoPE); Dubey et al. 2024 (Llama 3.1).

using PeftAlign.Abstractions;

namespace PeftAlign.Models.Decoders;

internal static class RotaryFrequencies
{
    /// <summary>Dimensions of a head that turn.</summary>
    internal static int Width(RopeParameters rope, long headWidth) => (int)(headWidth * rope.PartialRotaryFactor);

    /// <summary>Whether frequencies depend on a sequence's length.</summary>
    internal static bool DependOnLength(RopeParameters rope) => rope.Type is "dynamic" or "longrope";

    /// <summary>The length that stands for all with the frequencies of this one.</summary>
    internal static long LengthClass(RopeParameters rope, long maxPositions, long length) => rope.Type switch
    {
        "dynamic" => Math.Max(length, maxPositions),
        "longrope" => length > Original(rope, maxPositions) ? Original(rope, maxPositions) + 1 : 1,
        _ => 1,
    };

    /// <summary>From a length to one that stands for all with its frequencies in every block; null where no block's depend on it.</summary>
    internal static Func<long, long>? LengthClassOf(DecoderSpec spec)
    {
        var ropes = (spec.Ropes.Count > 0 ? spec.Ropes : [spec.Rope]).OfType<RopeParameters>().Distinct().Where(DependOnLength).ToList();
        long Own(RopeParameters rope, long length) => LengthClass(rope, spec.MaxPositions, length);
        return ropes switch
        {
            [] => null,
            [var rope] => length => Own(rope, length),
            _ => length => ropes.TrueForAll(rope => Own(rope, length) == Own(rope, 1)) ? 1 : length,
        };
    }

    /// <summary>(Width / 2) angles per position.</summary>
    /// <param name="rope">Kind and constants.</param>
    /// <param name="headWidth">D.</param>
    /// <param name="maxPositions">max_position_embeddings.</param>
    /// <param name="length">Tokens of the sequence, or its class.</param>
    internal static float[] Of(RopeParameters rope, long headWidth, long maxPositions, long length)
    {
        var width = Width(rope, headWidth);
        var theta = rope.Type == "dynamic" ? DynamicBase(rope, width, maxPositions, length) : rope.Theta;
        var plain = new double[width / 2];
        for (var j = 0; j < plain.Length; j++) plain[j] = 1 / Math.Pow(theta, 2.0 * j / width);
        var scaled = rope.Type switch
        {
            "linear" => plain.Select(f => f / rope.Factor!.Value),
            "yarn" => Yarn(rope, plain, width, maxPositions),
            "longrope" => plain.Zip(length > Original(rope, maxPositions) ? rope.LongFactor! : rope.ShortFactor!, (f, factor) => f / factor),
            "llama3" => plain.Select(f => Llama3(rope, f, maxPositions)),
            _ => plain,
        };
        var (frequencies, next) = (new float[plain.Length], 0);
        foreach (var frequency in scaled) frequencies[next++] = (float)frequency;
        Array.Resize(ref frequencies, next);
        return frequencies;
    }

    /// <summary>Multiplies cosines and sines.</summary>
    internal static double AttentionScale(RopeParameters rope, long maxPositions)
    {
        if (rope.Type is not ("yarn" or "longrope")) return 1;
        if (rope.AttentionFactor is { } given) return given;
        var factor = rope.Factor ?? (double)maxPositions / Original(rope, maxPositions);
        if (rope.Type == "longrope") return factor <= 1 ? 1 : Math.Sqrt(1 + Math.Log(factor) / Math.Log(Original(rope, maxPositions)));
        double Scale(double m) => factor <= 1 ? 1 : 0.1 * m * Math.Log(factor) + 1;
        return rope is { Mscale: { } m and not 0, MscaleAllDim: { } all and not 0 } ? Scale(m) / Scale(all) : Scale(1);
    }

    private static long Original(RopeParameters rope, long maxPositions) => rope.OriginalMaxPositions ?? maxPositions;

    private static double DynamicBase(RopeParameters rope, int width, long maxPositions, long length)
    {
        var factor = rope.Factor!.Value;
        return rope.Theta * Math.Pow(factor * Math.Max(length, maxPositions) / maxPositions - (factor - 1), width / (width - 2.0));
    }

    // Fast dimensions stay, slow ones are interpolated, those between are blended by a ramp over the dimension's number.
    private static IEnumerable<double> Yarn(RopeParameters rope, double[] plain, int width, long maxPositions)
    {
        double Dimension(double rotations) => width * Math.Log(Original(rope, maxPositions) / (rotations * 2 * Math.PI)) / (2 * Math.Log(rope.Theta));
        var (low, high) = (Dimension(rope.BetaFast ?? 32), Dimension(rope.BetaSlow ?? 1));
        if (rope.Truncate ?? true) (low, high) = (Math.Floor(low), Math.Ceiling(high));
        (low, high) = (Math.Max(low, 0), Math.Min(high, width - 1));
        if (low == high) high += 0.001;
        return plain.Select((f, j) =>
        {
            var interpolated = Math.Clamp((j - low) / (high - low), 0, 1);
            return f / rope.Factor!.Value * interpolated + f * (1 - interpolated);
        });
    }

    private static double Llama3(RopeParameters rope, double frequency, long maxPositions)
    {
        var turns = Original(rope, maxPositions) * frequency / (2 * Math.PI); // within the original context
        var (low, high) = (rope.LowFreqFactor!.Value, rope.HighFreqFactor!.Value);
        if (turns < low) return frequency / rope.Factor!.Value;
        if (turns > high) return frequency;
        var smooth = (turns - low) / (high - low);
        return (1 - smooth) * frequency / rope.Factor!.Value + smooth * frequency;
    }
}
