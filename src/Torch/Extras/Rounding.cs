// From double to the element types of tensors, to the nearest and ties to even, in one rounding.

namespace PeftAlign.Torch.Extras;

/// <summary>Rounds to an element type whose bits are a <typeparamref name="T"/>.</summary>
internal interface IRounding<T> where T : unmanaged
{
    static abstract T Round(double value);
}

internal readonly struct ToDouble : IRounding<double>
{
    public static double Round(double value) => value;
}

internal readonly struct ToSingle : IRounding<float>
{
    public static float Round(double value) => (float)value;
}

internal readonly struct ToHalf : IRounding<Half>
{
    public static Half Round(double value) => (Half)value;
}

internal readonly struct ToBool : IRounding<byte>
{
    public static byte Round(double value) => value != 0 ? (byte)1 : (byte)0;
}

internal readonly struct ToBFloat16 : IRounding<ushort>
{
    private const int Dropped = 45; // of double's 52 bits of mantissa, bfloat16 keeps 7

    public static ushort Round(double value)
    {
        var bits = BitConverter.DoubleToUInt64Bits(value);
        bits += (1UL << (Dropped - 1)) - 1 + ((bits >> Dropped) & 1);
        bits &= ~((1UL << Dropped) - 1);
        return (ushort)(BitConverter.SingleToUInt32Bits((float)BitConverter.UInt64BitsToDouble(bits)) >> 16);
    }
}

internal static class Rounding
{
    /// <summary>The greatest number of a dtype below <paramref name="bound"/>.</summary>
    internal static double LargestBelow(double bound, torch.ScalarType dtype) => dtype switch
    {
        torch.ScalarType.Float64 => Math.BitDecrement(bound),
        torch.ScalarType.Float32 => (float)bound < bound ? (float)bound : MathF.BitDecrement((float)bound),
        torch.ScalarType.Float16 => (double)(Half)bound < bound ? (double)(Half)bound : (double)Half.BitDecrement((Half)bound),
        torch.ScalarType.BFloat16 => BFloat16Below(bound),
        _ => throw NotFloating(dtype),
    };

    internal static ArgumentException NotFloating(torch.ScalarType dtype) =>
        new($"a stream cannot fill a tensor of dtype {dtype}; use float64, float32, float16 or bfloat16 (Bernoulli: bool too)");

    private static double BFloat16Below(double bound)
    {
        var bits = ToBFloat16.Round(bound);
        if (Widen(bits) < bound) return Widen(bits);
        return Widen((bits & 0x7FFF) == 0 ? (ushort)0x8001 : (bits & 0x8000) == 0 ? (ushort)(bits - 1) : (ushort)(bits + 1));
    }

    private static double Widen(ushort bits) => BitConverter.UInt32BitsToSingle((uint)bits << 16);
}
