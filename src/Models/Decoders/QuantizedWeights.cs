// The quantised matrices of a folder, beside its other tensors.

using PeftAlign.Abstractions;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Torch;

namespace PeftAlign.Models.Decoders;

/// <param name="checkpoint">The folder's tensors.</param>
/// <param name="names">Their names.</param>
/// <param name="reader">What reads them; null where the folder has none.</param>
/// <param name="device">Where they go; null = the processor.</param>
internal sealed class QuantizedWeights(CheckpointFolder checkpoint, StoredNames names, IQuantization? reader, torch.Device? device = null)
{
    private readonly HashSet<string> held = [];

    /// <summary>Whether a weight is quantised: its tensor has companions under its own name.</summary>
    internal bool Holds(WeightSpec weight)
    {
        if (reader is null || weight.Role != WeightRole.Matrix || !checkpoint.Names.Any(other => IsPartOf(other, names.Of(weight.Name)))) return false;
        held.Add(names.Of(weight.Name));
        return true;
    }

    /// <summary>Whether a tensor belongs to a quantised weight.</summary>
    internal bool IsPart(string name) => held.Contains(name) || held.Any(weight => IsPartOf(name, weight));

    /// <summary>The matrix, or null where the folder holds it as it is.</summary>
    /// <exception cref="UserErrorException">Its parts do not fit.</exception>
    internal QuantizedMatrix? Read(WeightSpec weight)
    {
        var name = names.Of(weight.Name);
        if (!held.Contains(name)) return null;
        long[] shape = weight.Transposed ? [weight.Shape[1], weight.Shape[0]] : weight.Shape;
        return reader!.Loaded(new StoredWeight(name, shape, checkpoint.Path, Part, [.. checkpoint.Names.Where(other => other == name || IsPartOf(other, name))]))
            ?? throw new UserErrorException($"{checkpoint.Path}: tensor '{name}' has companions ({checkpoint.Names.First(other => IsPartOf(other, name))}) that its quantization_config does not explain; fetch the folder's files again.");
    }

    private Tensor? Part(string name) => !checkpoint.Contains(name) ? null : device is null ? checkpoint.Tensor(name) : checkpoint.Tensor(name).to(device);

    private static bool IsPartOf(string other, string weight) => other.Length > weight.Length && other[weight.Length] == '.' && other.StartsWith(weight, StringComparison.Ordinal);
}
