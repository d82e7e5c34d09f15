// From 128 random bits to numbers of one distribution. A block gives 2 or 4 numbers.

namespace PeftAlign.Torch.Extras;

/// <summary>Makes numbers of a distribution from the bits of one block.</summary>
internal interface IDraw
{
    /// <summary>Numbers that one block gives.</summary>
    static abstract int PerBlock { get; }

    void Draw(in Philox bits, Span<double> values);
}

/// <summary>Uniform in [low, high), at most <paramref name="largest"/>, the dtype's greatest number below high.</summary>
internal readonly struct UniformDraw(double low, double high, double largest) : IDraw
{
    private const double Unit = 1.0 / (1UL << 53);

    public static int PerBlock => 2;

    public void Draw(in Philox bits, Span<double> values)
    {
        values[0] = Between(bits.Low);
        values[1] = Between(bits.High);
    }

    /// <summary>In [0, 1): the word's upper 53 bits.</summary>
    internal static double Fraction(ulong word) => (word >> 11) * Unit;

    private double Between(ulong word) => Math.Max(low, Math.Min(low + (high - low) * Fraction(word), largest));
}

/// <summary>Normal: Box and Muller (1958), the radius from a number in (0, 1].</summary>
internal readonly struct NormalDraw(double mean, double std) : IDraw
{
    public static int PerBlock => 2;

    public void Draw(in Philox bits, Span<double> values)
    {
        var radius = std * Math.Sqrt(-2 * Math.Log(1 - UniformDraw.Fraction(bits.Low)));
        var (sin, cos) = Math.SinCos(2 * Math.PI * UniformDraw.Fraction(bits.High));
        values[0] = mean + radius * cos;
        values[1] = mean + radius * sin;
    }
}

/// <summary>1 with probability p, else 0; 32 bits each.</summary>
internal readonly struct BernoulliDraw(double p) : IDraw
{
    private readonly ulong bound = (ulong)Math.Round(p * 4294967296.0);

    public static int PerBlock => 4;

    public void Draw(in Philox bits, Span<double> values)
    {
        values[0] = bits.A < bound ? 1 : 0;
        values[1] = bits.B < bound ? 1 : 0;
        values[2] = bits.C < bound ? 1 : 0;
        values[3] = bits.D < bound ? 1 : 0;
    }
}
