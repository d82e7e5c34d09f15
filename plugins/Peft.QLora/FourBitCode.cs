// The sixteen values of a 4-bit type, and the 256 of the type that factors are quantised to (bitsandbytes' create_dynamic_map).
// NF4 (Dettmers et al. 2023, appendix E): quantiles of a normal distribution that hold 0 exactly. FP4: sign, two bits of exponent,
// one of mantissa, divided by the largest.

namespace PeftAlign.Peft.QLora;

/// <summary>A 4-bit type.</summary>
/// <param name="Name">As in files.</param>
/// <param name="Values">(16) by bit pattern.</param>
internal sealed record FourBitCode(string Name, float[] Values)
{
    internal static FourBitCode Nf4 { get; } = new("nf4",
    [
        -1f, -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f, -0.28444138169288635f, -0.18477343022823334f, -0.09105003625154495f, 0f,
        0.07958029955625534f, 0.16093020141124725f, 0.24611230194568634f, 0.33791524171829224f, 0.44070982933044434f, 0.5626170039176941f, 0.7229568362236023f, 1f,
    ]);

    // 0 is added since -1 times 0 is -0, and the library's table, which is written into folders, has no sign at its second zero.
    internal static FourBitCode Fp4 { get; } = new("fp4", [.. new[] { 1f, -1f }.SelectMany(sign => new[] { 0f, 0.0625f, 8f, 12f, 4f, 6f, 2f, 3f }.Select(value => (sign * value / 12f) + 0f))]);

    /// <summary>(256) signed: for each power of ten from 10^-6 to 1, twice as many means of neighbours between 0.1 and 1; 0 and 1.</summary>
    internal static float[] Dynamic { get; } = DynamicMap();

    /// <summary>What encoding needs: midpoints of neighbours, and the patterns in the order of their values.</summary>
    internal unsafe NativeLevels Levels
    {
        get
        {
            // A stable sort: of FP4's two zeros the pattern 0 comes first, and both midpoints beside it are 0 or less.
            int[] order = [.. Enumerable.Range(0, 16).OrderBy(k => Values[k]).ThenBy(k => k)];
            var levels = default(NativeLevels);
            for (var k = 0; k < 16; k++) levels.Patterns[k] = (byte)order[k];
            for (var k = 0; k < 15; k++) levels.Thresholds[k] = (Values[order[k]] + Values[order[k + 1]]) / 2;
            return levels;
        }
    }

    private static float[] DynamicMap()
    {
        var values = new List<float> { 0, 1 };
        for (var power = 0; power <= 6; power++)
        {
            var count = 1 << power;
            for (var k = 0; k < count; k++)
            {
                var mean = (Point(k, count) + Point(k + 1, count)) / 2f;
                var value = (float)Math.Pow(10, power - 6) * mean;
                values.Add(value);
                values.Add(-value);
            }
        }
        return [.. values.Order()];

        // torch's linspace: from both ends to the middle, product and sum rounded once.
        static float Point(int k, int count)
        {
            var step = (1f - 0.1f) / count;
            return k < (count + 1) / 2 ? MathF.FusedMultiplyAdd(step, k, 0.1f) : MathF.FusedMultiplyAdd(-step, count - k, 1f);
        }
    }
}
