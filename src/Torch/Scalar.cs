// A number that an operator takes beside tensors; its kind (integer, float, bool) matters for the result's dtype.

using PeftAlign.Torch.Native;

namespace PeftAlign.Torch;

/// <summary>A number with the kind that type promotion looks at.</summary>
public sealed class Scalar
{
    private Scalar(Value value) => Value = value;

    internal Value Value { get; }

    /// <summary>An integer; it counts as int64.</summary>
    public static implicit operator Scalar(int value) => new((long)value);

    /// <summary>An integer; it counts as int64.</summary>
    public static implicit operator Scalar(long value) => new(value);

    /// <summary>A floating-point number, kept in double precision.</summary>
    public static implicit operator Scalar(float value) => new((double)value);

    /// <summary>A floating-point number.</summary>
    public static implicit operator Scalar(double value) => new(value);

    /// <summary>True or false; it counts as bool.</summary>
    public static implicit operator Scalar(bool value) => new(value);

    /// <summary>The value as a double.</summary>
    public double ToDouble() => Value.Tag == Tag.Double ? Value.Double : Value.Bits;

    /// <inheritdoc/>
    public override string ToString() => Value.Tag switch
    {
        Tag.Double => Value.Double.ToString("R"),
        Tag.Bool => Value.Bits != 0 ? "True" : "False",
        _ => Value.Bits.ToString(),
    };
}
