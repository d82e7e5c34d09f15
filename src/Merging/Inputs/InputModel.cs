// A model that is merged: a folder's weights, with a LoRA adapter added to them where the name is BASE+ADAPTER. Tensors are views of
// the mapped files; only those that an adapter changes are computed, in float32, and rounded to the base's type. So are, where that
// is asked for, the matrices of a base in 4 bits: the base's type is then the one that they were quantised from.

using PeftAlign.Abstractions;
using PeftAlign.Models.Adapters;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Decoders;
using PeftAlign.Torch;

namespace PeftAlign.Merging;

/// <summary>Where a model lies.</summary>
/// <param name="Folder">Its full weights.</param>
/// <param name="Adapter">A LoRA adapter over them, or null.</param>
internal readonly record struct ModelPlace(string Folder, string? Adapter)
{
    /// <summary>What decodes a base in 4 bits; null = such a base is refused.</summary>
    public ModelArchitectures? Decodes { get; init; }

    /// <summary>The place of PATH or PATH+ADAPTER.</summary>
    /// <param name="name">As written.</param>
    /// <param name="resolve">From a path as written to a full one.</param>
    /// <exception cref="UserErrorException">There is more than one plus, or nothing on a side of it.</exception>
    public static ModelPlace Of(string name, Func<string, string> resolve)
    {
        if (Directory.Exists(resolve(name)) || !name.Contains('+', StringComparison.Ordinal)) return new ModelPlace(resolve(name), null);
        if (name.Split('+').Any(string.IsNullOrWhiteSpace)) throw new UserErrorException($"'{name}' has nothing on a side of its +; a model is PATH or PATH+ADAPTER.");
        return name.Split('+') is [var folder, var adapter]
            ? new ModelPlace(resolve(folder), resolve(adapter))
            : throw new UserErrorException($"'{name}' has more than one +; a model is PATH or PATH+ADAPTER. Merge the adapters one after another.");
    }
}

internal sealed class InputModel : IDisposable
{
    private readonly CheckpointFolder weights;
    private readonly LoraWeights? adapter;
    private readonly DecodedWeights? decoded;
    private IReadOnlyList<string> warnings = [];

    private InputModel(string name, string folder, ModelConfig config, CheckpointFolder weights, DecodedWeights? decoded, LoraWeights? adapter) =>
        (Name, Folder, Config, this.weights, this.decoded, this.adapter) = (name, folder, config, weights, decoded, adapter);

    /// <summary>As the configuration writes it.</summary>
    public string Name { get; }

    /// <summary>The folder of the full weights.</summary>
    public string Folder { get; }

    /// <summary>The adapter, or null.</summary>
    public LoraWeights? Adapter => adapter;

    public ModelConfig Config { get; }

    public IEnumerable<string> Names => decoded is null ? weights.Names : weights.Names.Where(name => !decoded.IsHidden(name));

    /// <summary>Matrices that are decoded from 4 bits.</summary>
    public int Decoded => decoded?.Count ?? 0;

    public IEnumerable<string> Warnings => [.. weights.Warnings, .. warnings];

    /// <summary>Opens a model; reads headers only, but for a table with an adapter's pair and the head that it may share.</summary>
    /// <param name="name">As the configuration writes it.</param>
    /// <param name="locate">Where a model of that name lies.</param>
    /// <exception cref="UserErrorException">Something is not there or does not fit.</exception>
    public static InputModel Open(string name, Func<string, ModelPlace> locate)
    {
        var place = locate(name);
        var (folder, adapter) = place;
        if (!Directory.Exists(folder)) throw new UserErrorException($"'{name}': {folder} is no folder; models are local folders with config.json and weights. Check the path.");
        var config = ModelConfig.Open(folder);
        if (config.IsQuantized && place.Decodes is null)
            throw new UserErrorException($"'{name}' is quantised; merging works on 16-bit and 32-bit weights. Give the unquantised model, or say --dequantize to merge its decoded matrices: the result has full weights, of the type that they were quantised from, and is not quantised again.");
        var weights = CheckpointFolder.Open(folder);
        try
        {
            BasePrefix.Restore(weights, config.ModelType);
            if (TensorNames.Embedding(weights.Names) is null) TiedHead.NameEmbedding(weights, config, place.Decodes ?? ModelArchitectures.BuiltIn);
            var decoded = config.IsQuantized ? new DecodedWeights(weights, config, place.Decodes!) : null;
            var warnings = new List<string>();
            if (adapter is not null) TrainedWith.ThrowIfOther(adapter, folder, config.VocabularySize, warnings.Add);
            var lora = adapter is null ? null : LoraWeights.Open(adapter, weights.Tensors.Select(tensor => decoded?.Find(tensor.Name) ?? tensor), config.ModelType, new BaseHead(weights, config));
            return new InputModel(name, folder, config, weights, decoded, lora) { warnings = warnings };
        }
        catch
        {
            weights.Dispose();
            throw;
        }
    }

    public bool Has(string tensor) => weights.Contains(tensor);

    /// <summary>Facts about a tensor; an adapter changes none of them.</summary>
    public StoredTensor Find(string tensor) => decoded?.Find(tensor) ?? weights.Find(tensor);

    /// <summary>The tensor in the type of <see cref="Find"/>; sums with an adapter and decoded values are rounded to it once.</summary>
    public Tensor Tensor(string tensor)
    {
        using var scope = torch.NewDisposeScope();
        var (own, type) = (decoded?.Tensor(tensor) ?? weights.Tensor(tensor), Find(tensor).DType);
        return (adapter is null ? own.dtype == type ? own : own.to(type) : adapter.Apply(tensor, own, type)).MoveToOuterDisposeScope();
    }

    /// <summary>Lets go of the memory that a tensor was read into; what is read again has the file's values.</summary>
    public void Forget(string tensor)
    {
        if (weights.Contains(tensor)) weights.Forget(tensor);
    }

    public void Dispose()
    {
        weights.Dispose();
        adapter?.Dispose();
    }
}
