// Frequencies of rotary positions at the borders of their kinds, as transformers 5.23's ROPE_INIT_FUNCTIONS give them for a head of 8
// dimensions, theta 10,000 and 64 positions.

using PeftAlign.Abstractions;
using PeftAlign.Models.Decoders;

namespace PeftAlign.Models.Tests.Engine;

public sealed class RotaryBorderTests
{
    private static readonly RopeParameters Long = new("longrope", 10000) { ShortFactor = [1, 1.5, 2, 3], LongFactor = [2, 4, 6, 8], OriginalMaxPositions = 16, Factor = 4 };

    private static IEnumerable<TestCaseData> Cases()
    {
        TestCaseData Case(string name, RopeParameters rope, long length, double[] frequencies, double scale) => new TestCaseData(rope, length, frequencies, scale).SetArgDisplayNames(name);
        double[] shorter = [1.0, 0.06666667014360428, 0.004999999888241291, 0.00033333332976326346], longer = [0.5, 0.02500000037252903, 0.0016666667070239782, 0.0001250000059371814];
        double[] plain = [1.0, 0.10000000149011612, 0.009999999776482582, 0.0010000000474974513];
        yield return Case("longrope as long as it was trained", Long, 16, shorter, 1.224744871391589);
        yield return Case("longrope one token longer", Long, 17, longer, 1.224744871391589);
        yield return Case("longrope that shortens", Long with { Factor = 0.5 }, 4, shorter, 1);
        yield return Case("dynamic, short", new("dynamic", 10000) { Factor = 2 }, 10, plain, 1);
        yield return Case("dynamic, at its length", new("dynamic", 10000) { Factor = 2 }, 64, plain, 1);
        yield return Case("dynamic, beyond", new("dynamic", 10000) { Factor = 2 }, 100, [1.0, 0.07778222113847733, 0.006050074007362127, 0.00047058824566192925], 1);
        yield return Case("yarn that shortens", new("yarn", 10000) { Factor = 0.5, OriginalMaxPositions = 128 }, 1, [1.0, 0.15000000596046448, 0.019999999552965164, 0.0020000000949949026], 1);
        yield return Case("yarn without a ramp", new("yarn", 10000) { Factor = 4, OriginalMaxPositions = 16, BetaFast = 2, BetaSlow = 2, Truncate = false }, 1,
            [1.0, 0.02500000037252903, 0.0024999999441206455, 0.0002500000118743628], 1.138629436111989);
    }

    [TestCaseSource(nameof(Cases))]
    public void Frequencies_are_transformers(object rope, long length, double[] frequencies, double scale)
    {
        var parameters = (RopeParameters)rope;
        Assert.That(RotaryFrequencies.Of(parameters, 8, 64, length).Select(f => (double)f), Is.EqualTo(frequencies).Within(2e-5).Percent);
        Assert.That(RotaryFrequencies.Of(parameters, 8, 64, RotaryFrequencies.LengthClass(parameters, 64, length)), Is.EqualTo(RotaryFrequencies.Of(parameters, 8, 64, length)), "the class of the length stands for it");
        Assert.That(RotaryFrequencies.AttentionScale(parameters, 64), Is.EqualTo(scale).Within(1e-12));
    }
}
