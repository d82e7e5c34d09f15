// Sum of weight times model, divided by the sum of the weights where they are normalised.

using PeftAlign.Abstractions;
using PeftAlign.Algebra;
using PeftAlign.Torch;

namespace PeftAlign.Merge.Linear;

internal sealed class LinearMerge : IMergeStrategy
{
    // mergekit's bound, below which it does not divide by the sum.
    private const double SmallestDivisor = 1e-8;

    private readonly double[] weights;

    public LinearMerge(LinearOptions options)
    {
        var sum = options.Weight.Sum();
        if (options.Normalize && Math.Abs(sum) < SmallestDivisor)
            throw new UserErrorException($"weight: the weights {string.Join(", ", options.Weight)} sum to {sum}, by which the result would be divided; change them or set normalize: false.");
        weights = [.. options.Weight.Select(weight => options.Normalize ? weight / sum : weight)];
    }

    public Tensor Merge(MergeTensor tensor) => Mixtures.Sum([.. tensor.Inputs], weights, tensor.ResultType);
}

internal sealed class PassthroughMerge(PassthroughOptions options) : IMergeStrategy
{
    public Tensor Merge(MergeTensor tensor) =>
        options.Scale[0] == 1 ? tensor.Inputs[0].alias() : Mixtures.Sum([tensor.Inputs[0]], [options.Scale[0]], tensor.ResultType);
}
