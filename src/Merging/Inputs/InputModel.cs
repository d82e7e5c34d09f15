// A model that is merged: a folder's weights, with a LoRA adapter added to them where the name is BASE+ADAPTER. Tensors are views of
// the mapped files; only those that an adapter changes are computed, in float32, and rounded to the base's type.

using PeftAlign.Abstractions;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Torch;

namespace PeftAlign.Merging;

/// <summary>Where a model lies.</summary>
/// <param name="Folder">Its full weights.</param>
/// <param name="Adapter">A LoRA adapter over them, or null.</param>
internal readonly record struct ModelPlace(string Folder, string? Adapter)
{
    /// <summary>The place of PATH or PATH+ADAPTER.</summary>
    /// <param name="name">As written.</param>
    /// <param name="resolve">From a path as written to a full one.</param>
    /// <exception cref="UserErrorException">There is more than one plus.</exception>
    public static ModelPlace Of(string name, Func<string, string> resolve)
    {
        if (Directory.Exists(resolve(name)) || !name.Contains('+', StringComparison.Ordinal)) return new ModelPlace(resolve(name), null);
        return name.Split('+') is [var folder, var adapter]
            ? new ModelPlace(resolve(folder), resolve(adapter))
            : throw new UserErrorException($"'{name}' has more than one +; a model is PATH or PATH+ADAPTER. Merge the adapters one after another.");
    }
}

internal sealed class InputModel : IDisposable
{
    private readonly CheckpointFolder weights;
    private readonly LoraWeights? adapter;

    private InputModel(string name, string folder, ModelConfig config, CheckpointFolder weights, LoraWeights? adapter) =>
        (Name, Folder, Config, this.weights, this.adapter) = (name, folder, config, weights, adapter);

    /// <summary>As the configuration writes it.</summary>
    public string Name { get; }

    /// <summary>The folder of the full weights.</summary>
    public string Folder { get; }

    /// <summary>The adapter, or null.</summary>
    public LoraWeights? Adapter => adapter;

    public ModelConfig Config { get; }

    public IEnumerable<string> Names => weights.Names;

    public IEnumerable<string> Warnings => weights.Warnings;

    /// <summary>Opens a model; reads headers only.</summary>
    /// <param name="name">As the configuration writes it.</param>
    /// <param name="locate">Where a model of that name lies.</param>
    /// <exception cref="UserErrorException">Something is not there or does not fit.</exception>
    public static InputModel Open(string name, Func<string, ModelPlace> locate)
    {
        var (folder, adapter) = locate(name);
        if (!Directory.Exists(folder)) throw new UserErrorException($"'{name}': {folder} is no folder; models are local folders with config.json and weights. Check the path.");
        var config = ModelConfig.Open(folder);
        if (config.Json.TryGetProperty("quantization_config", out _))
            throw new UserErrorException($"'{name}' is quantised; merging works on 16-bit and 32-bit weights. Give the unquantised model.");
        var weights = CheckpointFolder.Open(folder);
        try
        {
            return new InputModel(name, folder, config, weights, adapter is null ? null : LoraWeights.Open(adapter, weights));
        }
        catch
        {
            weights.Dispose();
            throw;
        }
    }

    public bool Has(string tensor) => weights.Contains(tensor);

    /// <summary>Facts about a tensor; an adapter changes none of them.</summary>
    public StoredTensor Find(string tensor) => weights.Find(tensor);

    public Tensor Tensor(string tensor) => adapter is null ? weights.Tensor(tensor) : adapter.Apply(tensor, weights.Tensor(tensor));

    public void Dispose()
    {
        weights.Dispose();
        adapter?.Dispose();
    }
}
