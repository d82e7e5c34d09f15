// base + lambda * sum of weight * rescale * sparsify(model - base), with or without an election of signs.

using PeftAlign.Abstractions;
using PeftAlign.Algebra;
using PeftAlign.Torch;

namespace PeftAlign.Merge.Dare;

internal sealed class TaskVectorMerge(TaskVectorOptions options, ISparsifier sparsifier, bool elect) : IMergeStrategy
{
    private readonly string rescale = options is SparseOptions sparse ? sparse.Rescale : "off";

    public Tensor Merge(MergeTensor tensor)
    {
        var origin = Origin.Of(tensor);
        var vectors = Enumerable.Range(0, tensor.Inputs.Count).Select(input => Sparsified(tensor, input)).ToArray();
        return TaskVectors.Sum(origin, vectors, elect, options.Normalize, options.Lambda, tensor.ResultType);
    }

    private TaskVector Sparsified(MergeTensor tensor, int input)
    {
        var mask = sparsifier.Keep(tensor, input);
        var (x, weight) = (tensor.Inputs[input], options.Weight[input]);
        if (mask.KeepsAll || rescale == "off") return new TaskVector(x, mask, 1, weight);
        if (rescale == "l1") return new TaskVector(x, mask, TaskVectors.L1Scale(mask), weight);
        if (sparsifier.Probabilities(tensor, input) is { } probabilities) return new TaskVector(Divided(x, Origin.Of(tensor), probabilities), mask, 1, weight);
        // Nothing is kept at a share of 0, so nothing is divided by it.
        return new TaskVector(x, mask, sparsifier.Share(input) is > 0 and var share ? 1 / share : 1, weight);
    }

    // Each entry has a probability of its own: origin + (x - origin) / p.
    private static Tensor Divided(Tensor x, Tensor origin, Tensor probabilities) =>
        Pieces.Map([x, origin, probabilities], torch.float32, (_, parts) => parts[1] + (parts[0] - parts[1]) / parts[2]);
}
