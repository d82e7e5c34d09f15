// Which entries of a model's task vector are kept, and with which probability each was.

using PeftAlign.Abstractions;
using PeftAlign.Algebra;
using PeftAlign.Torch;

namespace PeftAlign.Merge.Dare;

/// <summary>Sparsifies one input's task vector.</summary>
internal interface ISparsifier
{
    /// <summary>The entries to keep. Random sparsifiers take a test's masks where there are some.</summary>
    Mask Keep(MergeTensor tensor, int input);

    /// <summary>The share of entries that is kept, or the probability of keeping one: what exact rescaling divides by, unless <see cref="Probabilities"/> says otherwise.</summary>
    double Share(int input);

    /// <summary>The probability of keeping each entry, where these differ; else null.</summary>
    Tensor? Probabilities(MergeTensor tensor, int input) => null;
}

internal static class Origin
{
    /// <summary>The base, which the host has checked to be there.</summary>
    public static Tensor Of(MergeTensor tensor) => tensor.Base ?? throw new InvalidOperationException("a merge of task vectors without a base");
}

internal sealed class KeepAll : ISparsifier
{
    public Mask Keep(MergeTensor tensor, int input) => Masks.All;

    public double Share(int input) => 1;
}

internal sealed class KeepLargest(SparseOptions options) : ISparsifier
{
    public Mask Keep(MergeTensor tensor, int input) => Masks.Largest(tensor.Inputs[input], Origin.Of(tensor), options.Density[input]);

    public double Share(int input) => options.Density[input];
}

internal sealed class KeepMiddle(BreadcrumbsOptions options) : ISparsifier
{
    public Mask Keep(MergeTensor tensor, int input) => Masks.Middle(tensor.Inputs[input], Origin.Of(tensor), options.Density[input], options.Gamma[input]);

    public double Share(int input) => options.Density[input];
}

internal sealed class KeepAtRandom(DareOptions options) : ISparsifier
{
    public Mask Keep(MergeTensor tensor, int input) =>
        tensor.Masks is { } masks && options.Density[input] < 1
            ? Masks.Given(masks[input], tensor.Inputs[input], Origin.Of(tensor))
            : Masks.Random(tensor.Inputs[input], Origin.Of(tensor), options.Density[input], tensor.RandomOf(input));

    public double Share(int input) => options.Density[input];
}

internal sealed class KeepByRank : ISparsifier
{
    private readonly DellaLinearOptions options;

    public KeepByRank(DellaLinearOptions options)
    {
        this.options = options;
        foreach (var (density, epsilon) in options.Density.Zip(options.Epsilon))
            if (density is > 0 and < 1 && (density + epsilon >= 1 || density - epsilon <= 0))
                throw new UserErrorException($"epsilon: density {density} + epsilon {epsilon} must be below 1 and density - epsilon above 0, since both are keep probabilities; use an epsilon below {Math.Min(density, 1 - density):0.###}.");
    }

    public Mask Keep(MergeTensor tensor, int input)
    {
        var (x, origin) = (tensor.Inputs[input], Origin.Of(tensor));
        if (options.Density[input] is var density && density >= 1) return Masks.All;
        if (density <= 0) return Masks.Random(x, origin, 0, tensor.RandomOf(input));
        if (tensor.Masks is { } masks) return Masks.Given(masks[input], x, origin);
        using var probabilities = Masks.RankProbabilities(x, origin, density, options.Epsilon[input]);
        return Masks.RandomBy(probabilities, x, origin, tensor.RandomOf(input));
    }

    public double Share(int input) => 1;

    public Tensor? Probabilities(MergeTensor tensor, int input) =>
        options.Density[input] is > 0 and < 1 ? Masks.RankProbabilities(tensor.Inputs[input], Origin.Of(tensor), options.Density[input], options.Epsilon[input]) : null;
}
