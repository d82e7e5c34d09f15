// Adapters of models with a part beside the decoder (one that reads images). PEFT's targets mean its layers too, so that a folder that was
// trained on texts alone has tensors of it, which change nothing; older folders name modules as the weights' files do.

using PeftAlign.Abstractions;
using PeftAlign.Models.Decoders;
using PeftAlign.Torch;

namespace PeftAlign.Models.Adapters;

/// <summary>What an adapter's folder holds of parts that are not computed.</summary>
public static class BesideParts
{
    private const string Prefix = "base_model.model.";

    /// <summary>A folder without it, by the modules' own names; other models' as they are.</summary>
    /// <param name="model">The model.</param>
    /// <param name="files">The folder.</param>
    /// <exception cref="UserErrorException">It changes such a part; the message names the tensor.</exception>
    public static AdapterFiles Without(ModelOutline model, AdapterFiles files)
    {
        if (model.Spec is not { Names.Beside.Count: > 0 } spec) return files;
        var kept = new Dictionary<string, Tensor>();
        foreach (var (name, tensor) in files.Tensors)
        {
            var own = name.StartsWith(Prefix, StringComparison.Ordinal) ? AsModule(spec, name[Prefix.Length..]) : null;
            if (own is null || !spec.IsBeside(own)) kept.TryAdd(own is null ? name : Prefix + own, tensor);
            else if (!ChangesNothing(own, tensor)) throw new UserErrorException($"The adapter's tensor '{name}' changes a part of the model that reads images, which is not computed here; train the text part alone, or use the adapter with PEFT.");
        }
        return files with { Tensors = kept };
    }

    /// <summary>A module's name of one in files.</summary>
    internal static string AsModule(DecoderSpec spec, string name) => AsModule(spec.Names.Stored, name);

    /// <summary>A module's name of one in files.</summary>
    /// <param name="stored">What both begin with.</param>
    /// <param name="name">Name of a weight.</param>
    internal static string AsModule(IReadOnlyList<(string Module, string Stored)> stored, string name)
    {
        foreach (var (module, file) in stored)
            if (name.StartsWith(file, StringComparison.Ordinal)) return module + name[file.Length..];
        return name;
    }

    // A product with a matrix of zeros, whatever its other factor and DoRA's lengths are; a factor of ones.
    private static bool ChangesNothing(string name, Tensor tensor)
    {
        using var scope = torch.NewDisposeScope();
        bool Has(string part) => name.Contains(part, StringComparison.Ordinal);
        if (Has(".ia3_l")) return tensor.eq(1).all().item<bool>();
        return Has(".lora_B.weight") ? tensor.eq(0).all().item<bool>() : Has(".lora_A.weight") || Has(".lora_magnitude_vector");
    }
}
