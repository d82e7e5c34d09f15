// Layers that a quantisation is to leave as they are: each entry must mean one.

using PeftAlign.Abstractions;
using PeftAlign.Models.Decoders;

namespace PeftAlign.Host.Quantizing;

internal static class SkippedLayers
{
    /// <summary>Refuses an entry that means no layer: a misspelt one would quantise what was meant to stay.</summary>
    /// <param name="skipped">Whole names, dotted beginnings or suffixes.</param>
    /// <param name="spec">The model.</param>
    /// <param name="option">What messages call the list.</param>
    /// <exception cref="UserError">There is one.</exception>
    internal static void ThrowIfUnknown(IEnumerable<string> skipped, DecoderSpec spec, string option)
    {
        var modules = spec.Weights().Where(w => w.Role is WeightRole.Matrix or WeightRole.Head).Select(w => w.Name[..^".weight".Length]).Append(spec.Names.Head).ToList();
        foreach (var name in skipped)
            if (!modules.Any(m => m == name || m.EndsWith("." + name, StringComparison.Ordinal) || m.StartsWith(name + ".", StringComparison.Ordinal)))
                throw new UserError($"{option} {name}", "is no linear layer of this model", $"use whole names, dotted beginnings or suffixes, such as {string.Join(", ", modules.Select(m => m[(m.LastIndexOf('.') + 1)..]).Distinct())}");
    }
}
