// Where a tensor lies and what its elements are. Numbers are c10's own.

namespace PeftAlign.Torch;

/// <summary>Kinds of device; numbers as c10::DeviceType.</summary>
public enum DeviceType
{
    /// <summary>The processor.</summary>
    CPU = 0,

    /// <summary>An NVIDIA GPU.</summary>
    CUDA = 1,

    /// <summary>libtorch's place for a further kind; here the one of <see cref="Extras.Rehearsal"/>.</summary>
    PrivateUse1 = 20,
}

public static partial class torch
{
    /// <summary>Element types; numbers as c10::ScalarType.</summary>
    public enum ScalarType : sbyte
    {
        /// <summary>uint8</summary>
        Byte = 0,

        /// <summary>int8</summary>
        Int8 = 1,

        /// <summary>int16</summary>
        Int16 = 2,

        /// <summary>int32</summary>
        Int32 = 3,

        /// <summary>int64</summary>
        Int64 = 4,

        /// <summary>IEEE half</summary>
        Float16 = 5,

        /// <summary>IEEE single</summary>
        Float32 = 6,

        /// <summary>IEEE double</summary>
        Float64 = 7,

        /// <summary>two singles</summary>
        ComplexFloat32 = 9,

        /// <summary>two doubles</summary>
        ComplexFloat64 = 10,

        /// <summary>one byte, 0 or 1</summary>
        Bool = 11,

        /// <summary>8 bits of exponent, 7 of mantissa</summary>
        BFloat16 = 15,
    }

    /// <summary>Whole numbers from 0 to 255.</summary>
    public const ScalarType uint8 = ScalarType.Byte;

    /// <summary>Whole numbers of 8 bits, signed.</summary>
    public const ScalarType int8 = ScalarType.Int8;

    /// <summary>Whole numbers of 16 bits, signed.</summary>
    public const ScalarType int16 = ScalarType.Int16;

    /// <summary>Whole numbers of 32 bits, signed.</summary>
    public const ScalarType int32 = ScalarType.Int32;

    /// <summary>Whole numbers of 64 bits, signed.</summary>
    public const ScalarType int64 = ScalarType.Int64;

    /// <summary>Another name of int64.</summary>
    public const ScalarType @long = ScalarType.Int64;

    /// <summary>IEEE half precision, 16 bits.</summary>
    public const ScalarType float16 = ScalarType.Float16;

    /// <summary>Another name of float16.</summary>
    public const ScalarType half = ScalarType.Float16;

    /// <summary>IEEE single precision, 32 bits.</summary>
    public const ScalarType float32 = ScalarType.Float32;

    /// <summary>IEEE double precision, 64 bits.</summary>
    public const ScalarType float64 = ScalarType.Float64;

    /// <summary>Another name of float64.</summary>
    public const ScalarType @double = ScalarType.Float64;

    /// <summary>True or false, one byte.</summary>
    public const ScalarType @bool = ScalarType.Bool;

    /// <summary>16 bits: 8 of exponent, 7 of mantissa.</summary>
    public const ScalarType bfloat16 = ScalarType.BFloat16;

    /// <summary>The processor.</summary>
    public static readonly Device CPU = new(DeviceType.CPU);

    /// <summary>The first GPU.</summary>
    public static readonly Device CUDA = new(DeviceType.CUDA, 0);

    /// <summary>A device from its kind and index.</summary>
    public static Device device(DeviceType type, int index = -1) => new(type, index);

    /// <summary>A device from "cpu", "cuda" or "cuda:N".</summary>
    /// <exception cref="ArgumentException">The text is none of these.</exception>
    public static Device device(string text) => new(text);

    /// <summary>A device from its kind, as text, and index.</summary>
    public static Device device(string type, int index) => new(new Device(type).type, index);

    /// <summary>A kind of device and an index; -1 stands for none.</summary>
    public sealed class Device : IEquatable<Device>
    {
        private const string RehearsalName = "privateuseone"; // libtorch's

        /// <summary>A device from its kind and index; without an index it is the first of its kind.</summary>
        public Device(DeviceType type, int index = -1)
        {
            this.type = type;
            this.index = type != DeviceType.CPU && index < 0 ? 0 : index;
        }

        /// <summary>A device from "cpu", "cuda" (the first GPU) or "cuda:N".</summary>
        /// <exception cref="ArgumentException">The text is none of these.</exception>
        public Device(string text)
        {
            ArgumentNullException.ThrowIfNull(text);
            var (name, number) = text.Split(':') is [var n, var k] ? (n, k) : (text, "");
            type = name switch
            {
                "cpu" => DeviceType.CPU,
                "cuda" => DeviceType.CUDA,
                RehearsalName => DeviceType.PrivateUse1,
                _ => throw new ArgumentException($"device '{text}' is not known; use cpu, cuda or cuda:N"),
            };
            index = type == DeviceType.CPU ? -1 : 0;
            if (number.Length > 0 && (!int.TryParse(number, out var parsed) || parsed < 0))
                throw new ArgumentException($"device '{text}' has no valid index; use cpu, cuda or cuda:N");
            if (number.Length > 0) index = int.Parse(number);
        }

        /// <summary>Kind of device.</summary>
        public DeviceType type { get; }

        /// <summary>Which one of its kind, from 0; of the processor -1 unless it was given.</summary>
        public int index { get; }

        /// <summary>Whether it is the same device; the processor's index does not matter.</summary>
        public bool Equals(Device? other) => other is not null && other.type == type && (other.index == index || type == DeviceType.CPU);

        /// <inheritdoc/>
        public override bool Equals(object? obj) => Equals(obj as Device);

        /// <inheritdoc/>
        public override int GetHashCode() => HashCode.Combine(type, type == DeviceType.CPU ? 0 : index);

        /// <summary>"cpu" or "cuda:N".</summary>
        public override string ToString() => type == DeviceType.CPU ? "cpu" : $"{(type == DeviceType.CUDA ? "cuda" : RehearsalName)}:{index}";

        /// <summary>A device from "cpu", "cuda" (the first GPU) or "cuda:N".</summary>
        /// <exception cref="ArgumentException">The text is none of these.</exception>
        public static implicit operator Device(string text) => new(text);
    }
}

/// <summary>Facts about element types.</summary>
public static class ScalarTypes
{
    /// <summary>Bytes of one element.</summary>
    public static int ElementSize(this torch.ScalarType type) => type switch
    {
        torch.ScalarType.Byte or torch.ScalarType.Int8 or torch.ScalarType.Bool => 1,
        torch.ScalarType.Int16 or torch.ScalarType.Float16 or torch.ScalarType.BFloat16 => 2,
        torch.ScalarType.Int32 or torch.ScalarType.Float32 => 4,
        torch.ScalarType.Int64 or torch.ScalarType.Float64 or torch.ScalarType.ComplexFloat32 => 8,
        torch.ScalarType.ComplexFloat64 => 16,
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "element type without a known size"),
    };

    /// <summary>The element type that holds a .NET type's values.</summary>
    /// <exception cref="NotSupportedException">No element type holds them.</exception>
    public static torch.ScalarType Of(Type type) => Type.GetTypeCode(type) switch
    {
        TypeCode.Byte => torch.ScalarType.Byte,
        TypeCode.SByte => torch.ScalarType.Int8,
        TypeCode.Int16 => torch.ScalarType.Int16,
        TypeCode.Int32 => torch.ScalarType.Int32,
        TypeCode.Int64 => torch.ScalarType.Int64,
        TypeCode.Single => torch.ScalarType.Float32,
        TypeCode.Double => torch.ScalarType.Float64,
        TypeCode.Boolean => torch.ScalarType.Bool,
        _ when type == typeof(Half) => torch.ScalarType.Float16,
        _ => throw new NotSupportedException($"no element type holds {type.Name}; use byte, sbyte, short, int, long, Half, float, double or bool"),
    };
}
