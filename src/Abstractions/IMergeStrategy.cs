// A merge strategy makes one tensor from the tensors of that name in several models. The host streams the tensors, resolves the
// parameters of each (filters, gradients over layers, values per model) and owns all files.

using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Abstractions;

/// <summary>
/// A way of merging: linear, slerp, ties ... Its options are the parameters of a merge, resolved for one tensor: an option marked
/// <see cref="OptionPerModelAttribute"/> is a list with one value per input. An instance is made for each set of values while
/// the merge is planned, so a constructor that throws <see cref="UserErrorException"/> refuses them before anything is written.
/// </summary>
/// <remarks>Mark the options class with <see cref="ContractTraitsAttribute"/>: its Inputs says how many models are taken, and one of the
/// <see cref="MergeBase"/> traits what the base is.</remarks>
public interface IMergeStrategy
{
    /// <summary>The merged tensor: a new tensor of the inputs' shape, of any floating-point type.</summary>
    /// <param name="tensor">What is merged. The tensors may be views of mapped files: read them only.</param>
    /// <exception cref="UserErrorException">These values cannot be merged.</exception>
    Tensor Merge(MergeTensor tensor);
}

/// <summary>One tensor of a merge.</summary>
/// <param name="Name">Its name in the merged model, for instance model.layers.0.mlp.up_proj.weight.</param>
/// <param name="Base">The base model's tensor; null where the strategy takes none or none is given.</param>
/// <param name="Inputs">The models' tensors in the order of the configuration, all of one shape, each of the type that its model
/// stores (or narrower): compute in float32 or wider.</param>
/// <param name="ResultType">The type in which the result is stored; returning a tensor of this type saves a copy.</param>
/// <param name="RandomOf">Random numbers for an input, by its index. They follow from the index, the seed and the tensor's name, not from a model's name or path.</param>
public sealed record MergeTensor(string Name, Tensor? Base, IReadOnlyList<Tensor> Inputs, torch.ScalarType ResultType, Func<int, CounterStream> RandomOf)
{
    /// <summary>For tests: a keep mask for each input (1 keeps, 0 drops; any type) instead of random ones; null = masks are drawn.</summary>
    public IReadOnlyList<Tensor>? Masks { get; init; }
}

/// <summary>Traits that say what a merge strategy's base model is; a strategy has at most one of them.</summary>
public static class MergeBase
{
    /// <summary>The origin from which task vectors are measured: required, not counted among the inputs.</summary>
    public const string Origin = "base-origin";

    /// <summary>An origin that may be left out; not counted among the inputs.</summary>
    public const string OptionalOrigin = "base-optional";

    /// <summary>One of the inputs, required and put first; in manifests it is the first parent.</summary>
    public const string First = "base-first";
}

/// <summary>Marks a list option of a merge strategy that users give per model; a list gets one value per input.</summary>
/// <param name="fallback">The value for a model that is given none: a number, a text or a truth value. Without a fallback, users must give one.</param>
[AttributeUsage(AttributeTargets.Property)]
public sealed class OptionPerModelAttribute(object? fallback = null) : Attribute
{
    /// <summary>The value where none is given, or null.</summary>
    public object? Fallback { get; } = fallback;
}
