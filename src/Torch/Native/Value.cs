// What C# code passes to an operator: a small struct with conversions from every kind of argument, so that a call
// reads `Aten.add.Tensor(this, other, 1)`. Value.Default stands for the schema's own default.

using System.Runtime.CompilerServices;

namespace PeftAlign.Torch.Native;

internal readonly struct Value
{
    internal readonly Tag Tag;
    internal readonly object? Reference;
    internal readonly long Bits;

    private Value(Tag tag, object? reference, long bits = 0)
    {
        Tag = tag;
        Reference = reference;
        Bits = bits;
    }

    internal static Value None => default;
    internal static Value Default => new(Tag.Default, null);
    internal double Double => BitConverter.Int64BitsToDouble(Bits);

    public static implicit operator Value(Tensor? tensor) => tensor is null ? default : new(Tag.Tensor, tensor);
    public static implicit operator Value(long value) => new(Tag.Int, null, value);
    public static implicit operator Value(int value) => new(Tag.Int, null, value);
    public static implicit operator Value(double value) => new(Tag.Double, null, BitConverter.DoubleToInt64Bits(value));
    public static implicit operator Value(bool value) => new(Tag.Bool, null, value ? 1 : 0);
    public static implicit operator Value(long? value) => value is { } v ? v : default(Value);
    public static implicit operator Value(double? value) => value is { } v ? v : default(Value);
    public static implicit operator Value(string? value) => value is null ? default : new(Tag.String, value);
    public static implicit operator Value(long[]? values) => values is null ? default : new(Tag.Ints, values);
    public static implicit operator Value(double[]? values) => values is null ? default : new(Tag.Doubles, values);
    public static implicit operator Value(bool[]? values) => values is null ? default : new(Tag.Bools, values);
    public static implicit operator Value(Tensor?[]? tensors) => tensors is null ? default : new(Tag.Tensors, tensors);
    public static implicit operator Value(torch.ScalarType dtype) => new(Tag.Int, null, (long)dtype);
    public static implicit operator Value(torch.ScalarType? dtype) => dtype is { } d ? d : default(Value);
    public static implicit operator Value(torch.Device? device) => device is null ? default : new(Tag.Device, device);
    public static implicit operator Value(torch.Generator? generator) => generator is null ? default : new(Tag.Generator, generator);
    public static implicit operator Value(Scalar? scalar) => scalar is null ? default : scalar.Value;

    /// <summary>How many 8-byte words of scratch space the value needs when it crosses.</summary>
    internal int ScratchWords => Tag switch
    {
        Tag.Ints => ((long[])Reference!).Length,
        Tag.Doubles => ((double[])Reference!).Length,
        Tag.Bools => (((bool[])Reference!).Length + 7) / 8,
        Tag.Tensors => ((Tensor?[])Reference!).Length,
        Tag.String => (System.Text.Encoding.UTF8.GetByteCount((string)Reference!) + 7) / 8,
        _ => 0,
    };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Value Integer(long value) => new(Tag.Int, null, value);
}
