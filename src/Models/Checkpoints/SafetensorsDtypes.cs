// Element types by their names in safetensors headers, and the order in which Hugging Face's library sorts them.

using static PeftAlign.Torch.torch;

namespace PeftAlign.Models.Checkpoints;

internal static class SafetensorsDtypes
{
    /// <summary>Readable types from the last to the first in the library's order: widest first, so that data stays aligned.</summary>
    private static readonly (string Name, ScalarType Type)[] WidestFirst =
    [
        ("I64", ScalarType.Int64), ("F64", ScalarType.Float64), ("C64", ScalarType.ComplexFloat32), ("F32", ScalarType.Float32),
        ("I32", ScalarType.Int32), ("BF16", ScalarType.BFloat16), ("F16", ScalarType.Float16), ("I16", ScalarType.Int16),
        ("I8", ScalarType.Int8), ("U8", ScalarType.Byte), ("BOOL", ScalarType.Bool),
    ];

    /// <summary>Types of the format that no operator of the oldest supported libtorch takes.</summary>
    private static readonly string[] Unreadable =
        ["F4", "F6_E2M3", "F6_E3M2", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "U16", "U32", "U64"];

    public static ScalarType? Find(string name)
    {
        foreach (var (known, type) in WidestFirst)
            if (known == name) return type;
        return null;
    }

    public static string NameOf(ScalarType type) =>
        WidestFirst.FirstOrDefault(t => t.Type == type).Name
        ?? throw new NotSupportedException($"safetensors has no element type for {type}; convert the tensor to one of {Known} first");

    /// <summary>Place of a type in files that the library writes; smaller comes first.</summary>
    public static int Rank(ScalarType type) => Array.FindIndex(WidestFirst, t => t.Type == type);

    /// <summary>Why a type cannot be read.</summary>
    public static string WhyNot(string name)
    {
        if (name.StartsWith("F8_", StringComparison.Ordinal) && Unreadable.Contains(name))
            return $"its dtype {name} (8-bit float) is not supported; take the checkpoint's bfloat16 release, or convert it to BF16";
        return Unreadable.Contains(name)
            ? $"its dtype {name} is not supported; convert it to one of {Known}"
            : $"dtype {Fault.Quote(name)} is unknown; safetensors has {Known}";
    }

    private static string Known => string.Join(", ", WidestFirst.Select(t => t.Name));
}
