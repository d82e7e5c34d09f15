// A merge strategy makes one tensor of several models' tensors of that name. The host streams the tensors, resolves parameters
// for each of them (filters, gradients over layers, values per model) and owns all files.

using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Abstractions;

/// <summary>
/// A way of merging: linear, slerp, ties ... Its options are the parameters of a merge, resolved for one tensor: an option marked
/// <see cref="OptionPerModelAttribute"/> is a list with one value per input. An instance is made for each set of values while
/// the merge is planned, so a constructor that throws <see cref="UserErrorException"/> refuses them before anything is written.
/// </summary>
/// <remarks>Mark the options class with <see cref="ContractTraitsAttribute"/>: Inputs counts the models, one of the
/// <see cref="MergeBase"/> traits says what the base is.</remarks>
public interface IMergeStrategy
{
    /// <summary>The merged tensor: a new tensor of the inputs' shape, of any floating-point type.</summary>
    /// <param name="tensor">What is merged. The tensors may be views of mapped files: read them only.</param>
    /// <exception cref="UserErrorException">These values have no merge.</exception>
    Tensor Merge(MergeTensor tensor);
}

/// <summary>One tensor of a merge.</summary>
/// <param name="Name">Its name in the merged model, for instance model.layers.0.mlp.up_proj.weight.</param>
/// <param name="Base">The base model's tensor; null where the strategy takes none or none is given.</param>
/// <param name="Inputs">The models' tensors in the order of the configuration, all of one shape, each of the type that its model
/// stores (or narrower): compute in float32 or wider.</param>
/// <param name="ResultType">The type in which the result is stored: returning it saves a copy.</param>
/// <param name="RandomOf">Random numbers for an input's index: a function of it, of the seed and the tensor's name; a model's name or path is no part of it.</param>
public sealed record MergeTensor(string Name, Tensor? Base, IReadOnlyList<Tensor> Inputs, torch.ScalarType ResultType, Func<int, CounterStream> RandomOf)
{
    /// <summary>For tests: keep masks by input (1 keeps, 0 drops; any type) in the place of random numbers; null draws them.</summary>
    public IReadOnlyList<Tensor>? Masks { get; init; }
}

/// <summary>Traits of a merge strategy that say what the base model is; at most one of them.</summary>
public static class MergeBase
{
    /// <summary>The origin from which task vectors are measured: required, not counted among the inputs.</summary>
    public const string Origin = "base-origin";

    /// <summary>An origin that may be left out; not counted among the inputs.</summary>
    public const string OptionalOrigin = "base-optional";

    /// <summary>One of the inputs, required, put first; in manifests the first parent.</summary>
    public const string First = "base-first";
}

/// <summary>Marks a list option of a merge strategy that users give per model; a list gets one value per input.</summary>
/// <param name="fallback">The value of a model for which none is given: a number, a text or a truth value. Left out, users must give one.</param>
[AttributeUsage(AttributeTargets.Property)]
public sealed class OptionPerModelAttribute(object? fallback = null) : Attribute
{
    /// <summary>The value where none is given, or null.</summary>
    public object? Fallback { get; } = fallback;
}
