// Counting what is in a checkpoint. Parameters are numbers that training could change: tables that old checkpoints store
// (rotary frequencies, attention masks) and a quantiser's own tensors are none, and a packed 4-bit byte holds two.

using PeftAlign.Models.Checkpoints;

namespace PeftAlign.Host.Inspection;

/// <summary>Tensors, elements and bytes of one element type.</summary>
internal sealed record TypeCount(string Type, int Tensors, long Elements, long Bytes);

internal sealed record WeightCounts(long Parameters, long Bytes, IReadOnlyList<TypeCount> ByType, IReadOnlyList<string> Files)
{
    private const string QuantState = ".quant_state.bitsandbytes__";

    private static readonly string[] OfAQuantiser = [".absmax", ".quant_map", ".nested_absmax", ".nested_quant_map", ".SCB", ".weight_format"];

    public static WeightCounts Of(IReadOnlyCollection<StoredTensor> tensors)
    {
        var packed = tensors.Select(t => t.Name.IndexOf(QuantState, StringComparison.Ordinal) is > 0 and var at ? t.Name[..at] : null).OfType<string>().ToHashSet();
        var types = tensors.GroupBy(t => t.DType).OrderByDescending(g => g.Sum(t => t.Bytes))
            .Select(g => new TypeCount(g.Key.ToString().ToLowerInvariant(), g.Count(), g.Sum(t => t.Count), g.Sum(t => t.Bytes)));
        return new WeightCounts(
            tensors.Sum(t => packed.Contains(t.Name) ? 2 * t.Bytes : IsTable(t, packed) ? 0 : t.Count),
            tensors.Sum(t => t.Bytes),
            [.. types],
            [.. tensors.Select(t => t.File).Distinct()]);
    }

    private static bool IsTable(StoredTensor tensor, HashSet<string> packed)
    {
        var name = tensor.Name;
        if (name.Contains(QuantState, StringComparison.Ordinal)) return true;
        var suffix = OfAQuantiser.FirstOrDefault(end => name.EndsWith(end, StringComparison.Ordinal));
        if (suffix is ".SCB" or ".weight_format" || (suffix is not null && packed.Contains(name[..^suffix.Length]))) return true;
        return name.EndsWith("rotary_emb.inv_freq", StringComparison.Ordinal) || name.EndsWith("attn.masked_bias", StringComparison.Ordinal)
            || (name.EndsWith("attn.bias", StringComparison.Ordinal) && tensor.Shape.Count == 4);
    }
}
