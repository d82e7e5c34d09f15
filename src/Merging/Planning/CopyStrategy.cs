// Tensors without floating-point numbers have no weighted sum: they are copied where all models have the same, as in mergekit.

using PeftAlign.Abstractions;
using PeftAlign.Torch;

namespace PeftAlign.Merging;

internal sealed class CopyStrategy : IMergeStrategy
{
    private static readonly CopyStrategy One = new();

    /// <summary>Whether a type holds whole numbers or truth values.</summary>
    public static bool Takes(torch.ScalarType type) =>
        type is torch.ScalarType.Bool or torch.ScalarType.Byte or torch.ScalarType.Int8 or torch.ScalarType.Int16 or torch.ScalarType.Int32 or torch.ScalarType.Int64;

    /// <summary>Plans the copy of such a tensor.</summary>
    /// <param name="name">Its name in the result.</param>
    /// <param name="all">It in all models; they are read.</param>
    /// <exception cref="UserErrorException">They differ.</exception>
    public static PlannedTensor Plan(string name, IReadOnlyList<InputTensor> all)
    {
        using var scope = torch.NewDisposeScope();
        var (first, facts) = (all[0].Model.Tensor(all[0].Name), all[0].Model.Find(all[0].Name));
        foreach (var other in all.Skip(1))
            if (other.Model.Find(other.Name).DType != facts.DType || !first.equal(other.Model.Tensor(other.Name)))
                throw new UserErrorException($"the tensor {name} is of type {facts.DType} and differs between {all[0].Model.Name} and {other.Model.Name}; only floating-point tensors are merged. Give models in which it is the same.");
        return new PlannedTensor(name, [all[0]], null, One, null, facts.DType, facts.Shape, null);
    }

    public Tensor Merge(MergeTensor tensor) => tensor.Inputs[0].clone();
}
