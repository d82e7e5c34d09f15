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

    internal static string Magnitude(string module) => $"{Prefix}{module}.lora_magnitude_vector";

    internal static string BaseBias(string module) => $"{Prefix}{module}.base_layer.bias";

    internal static string Own(string module, string name) => $"{Prefix}{module}.{name}";

    internal static string Tokens(string module) => $"{Prefix}{module}.token_adapter.trainable_tokens_delta";

    /// <summary>What a site's folder holds.</summary>
    internal static IEnumerable<(string Name, Tensor Tensor)> Tensors(AdapterSite site, ModuleKind kind)
    {
        var name = site.Module;
        switch (site.Delta)
        {
            case LowRank low:
                // [A; A0] and [B, -B0]: what training changed, minus where it began.
                yield return (A(name, kind), low.Start is { } start ? torch.cat([low.A.detach(), start.A], 0) : low.A);
                yield return (B(name, kind), low.Start is { } begin ? torch.cat([low.B.detach(), -begin.B], 1) : low.B);
                if (low.Magnitude is { } magnitude) yield return (Magnitude(name), magnitude);
                if (low.Bias is { } bias) yield return (BaseBias(name), bias);
                break;
            case Whole whole:
                foreach (var (part, tensor) in whole.Parameters) yield return (Own(name, part), tensor);
                break;
            case TokenRows rows:
                yield return (Tokens(name), rows.Values);
                break;
            default:
                throw new ArgumentException($"LoRA's files have no place for a {site.Delta.GetType().Name} at {name}");
        }
    }

    private static string A(string module, ModuleKind kind) => kind == ModuleKind.Embedding ? $"{Prefix}{module}.lora_embedding_A" : $"{Prefix}{module}.lora_A.weight";

    private static string B(string module, ModuleKind kind) => kind == ModuleKind.Embedding ? $"{Prefix}{module}.lora_embedding_B" : $"{Prefix}{module}.lora_B.weight";
}
