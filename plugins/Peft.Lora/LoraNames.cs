// Names of LoRA's tensors in PEFT's files.

using PeftAlign.Abstractions;
using PeftAlign.Torch;

namespace PeftAlign.Peft.Lora;

internal static class LoraNames
{
    private const string Prefix = "base_model.model.";

    internal static string A(ModuleOutline module) => A(module.Name, module.Kind);

    internal static string B(ModuleOutline module) => B(module.Name, module.Kind);

    /// <summary>The module of a tensor A, and the name of its B; null for other tensors.</summary>
    internal static (string Module, string NameOfB)? ModuleOfA(string name)
    {
        foreach (var (a, b) in (ReadOnlySpan<(string, string)>)[(".lora_A.weight", ".lora_B.weight"), (".lora_embedding_A", ".lora_embedding_B")])
            if (name.StartsWith(Prefix, StringComparison.Ordinal) && name.EndsWith(a, StringComparison.Ordinal)) return (name[Prefix.Length..^a.Length], name[..^a.Length] + b);
        return null;
    }

    /// <summary>A table of the base, or its head's bias, beneath a pair or alone.</summary>
    internal static string Table((string Module, string Part) table, bool isChanged) => Own(table.Module, isChanged ? "base_layer." + table.Part : table.Part);

    /// <summary>The embedding or head whose table of the base a tensor is, or the head whose bias, as PEFT names it beside LoRA; null for other tensors.</summary>
    internal static (string Module, string Part)? TableOf(string name)
    {
        if (!name.StartsWith(Prefix, StringComparison.Ordinal) || ModuleOfA(name) is not null || name.EndsWith(".lora_B.weight", StringComparison.Ordinal)) return null;
        foreach (var part in (ReadOnlySpan<string>)["weight", "bias"])
            foreach (var end in (ReadOnlySpan<string>)[".base_layer." + part, "." + part])
                if (name.EndsWith(end, StringComparison.Ordinal)) return (name[Prefix.Length..^end.Length], part);
        return null;
    }

    internal static string Magnitude(string module) => $"{Prefix}{module}.lora_magnitude_vector";

    internal static string BaseBias(string module) => $"{Prefix}{module}.base_layer.bias";

    internal static string Own(string module, string name) => $"{Prefix}{module}.{name}";

    internal static string BaseWeight(string module) => $"{Prefix}{module}.base_layer.weight";

    internal static string BaseOfTokens(string module) => $"{Prefix}{module}.token_adapter.base_layer.weight";

    internal static string Tokens(string module) => $"{Prefix}{module}.token_adapter.trainable_tokens_delta";

    /// <summary>What a site's folder holds.</summary>
    /// <param name="site">The site.</param>
    /// <param name="kind">Its module's.</param>
    /// <param name="doubled">Whether the folder's ranks are doubled, for changes with a start beside them.</param>
    internal static IEnumerable<(string Name, Tensor Tensor)> Tensors(AdapterSite site, ModuleKind kind, bool doubled)
    {
        var name = site.Module;
        switch (site.Delta)
        {
            case LowRank low:
                var (a, b) = doubled ? Doubled(low) : (low.A, low.B);
                yield return (A(name, kind), a);
                yield return (B(name, kind), b);
                if (low.Magnitude is { } magnitude) yield return (Magnitude(name), magnitude);
                if (low.Bias is { } bias) yield return (BaseBias(name), bias);
                break;
            case Stack { Layers: [Whole { IsFrozen: true } own, var trained] }:
                if (own.Weight is { } table) yield return (trained is TokenRows ? BaseOfTokens(name) : BaseWeight(name), table);
                if (own.Bias is { } beneath && trained is LowRank { Bias: null }) yield return (BaseBias(name), beneath);
                foreach (var tensor in Tensors(site with { Delta = trained }, kind, doubled)) yield return tensor;
                break;
            case Whole whole:
                if (whole.Weight is { } weight) yield return (Own(name, "weight"), weight);
                if (whole.Bias is { } ownBias) yield return (Own(name, "bias"), ownBias);
                break;
            case TokenRows rows:
                yield return (Tokens(name), rows.Values);
                break;
            default:
                throw new ArgumentException($"LoRA's files have no place for a {site.Delta.GetType().Name} at {name}");
        }
    }

    // [A; A0] and [B, -B0]: what training changed, minus where it began. An embedding began at nothing.
    private static (Tensor A, Tensor B) Doubled(LowRank low)
    {
        var (a, b) = low.Start is { } start ? (start.A, -start.B) : (torch.zeros_like(low.A.detach()), torch.zeros_like(low.B.detach()));
        return (torch.cat([low.A.detach(), a], 0), torch.cat([low.B.detach(), b], 1));
    }

    internal static string A(string module, ModuleKind kind) => kind == ModuleKind.Embedding ? $"{Prefix}{module}.lora_embedding_A" : $"{Prefix}{module}.lora_A.weight";

    private static string B(string module, ModuleKind kind) => kind == ModuleKind.Embedding ? $"{Prefix}{module}.lora_embedding_B" : $"{Prefix}{module}.lora_B.weight";
}
