// What is computed for each tensor of the result, in full before anything is written.

using PeftAlign.Abstractions;
using PeftAlign.Torch;

namespace PeftAlign.Merging;

/// <summary>A tensor of a model.</summary>
internal readonly record struct InputTensor(InputModel Model, string Name);

/// <summary>One tensor of the result.</summary>
/// <param name="Name">Its name there.</param>
/// <param name="Inputs">What is merged, in the strategy's order.</param>
/// <param name="Base">The base's tensor where the strategy measures from it.</param>
/// <param name="Strategy">Made with this tensor's parameters.</param>
/// <param name="RoundTo">Type to which inputs are rounded first; null to take them as they are stored.</param>
/// <param name="Result">Type of the result.</param>
/// <param name="Shape">Shape of the result.</param>
/// <param name="Rows">Brings vocabulary tensors (base last) to the result's rows; null where they fit.</param>
internal sealed record PlannedTensor(
    string Name, IReadOnlyList<InputTensor> Inputs, InputTensor? Base, IMergeStrategy Strategy, torch.ScalarType? RoundTo, torch.ScalarType Result, IReadOnlyList<long> Shape, VocabularyRows? Rows)
{
    public long Count => Shape.Aggregate(1L, (product, size) => product * size);

    public long Bytes => Count * Result.ElementSize();
}

/// <summary>A whole merge.</summary>
/// <param name="Tensors">In the order of the model.</param>
/// <param name="Models">Every model, the base first where there is one.</param>
/// <param name="Leader">The model whose configuration and tokenizer the result has.</param>
/// <param name="Layers">Layers of the result.</param>
/// <param name="Vocabulary">The result's tokenizer where one is made; null for the leader's files.</param>
internal sealed record MergePlan(MergeConfig Config, IReadOnlyList<PlannedTensor> Tensors, IReadOnlyList<InputModel> Models, InputModel Leader, int Layers, Vocabulary? Vocabulary, IReadOnlyList<string> Warnings) : IDisposable
{
    /// <summary>Of each layer of the result the model and its layer that are named first.</summary>
    public IReadOnlyList<(InputModel Model, long Layer)> Sources { get; init; } = [];

    /// <summary>Whether a layer stands at another place than in its model, or there are more or fewer than in the leader.</summary>
    public bool Moves => Layers != Leader.Config.LayerCount || Sources.Index().Any(source => source.Item.Layer != source.Index);

    public void Dispose()
    {
        foreach (var model in Models) model.Dispose();
    }
}
