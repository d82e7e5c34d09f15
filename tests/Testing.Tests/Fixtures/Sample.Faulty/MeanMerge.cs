// The weighted mean of models, as differences from a base where one is given; right or wrong in one way.

using PeftAlign.Abstractions;
using PeftAlign.Torch;

namespace Sample.Faulty;

/// <summary>Options of the merge.</summary>
[ContractTraits(MergeBase.OptionalOrigin, Inputs = "[2,4]")]
public sealed class MergeOptions
{
    /// <summary>Weight of the model.</summary>
    [OptionPerModel(1.0)]
    public List<double> Weight { get; set; } = [];

    /// <summary>In which way to be wrong.</summary>
    public MergeFault Fault { get; set; }
}

/// <summary>Options of a merge that does not say how many models it takes.</summary>
[ContractTraits(MergeBase.OptionalOrigin)]
public sealed class UntoldOptions
{
    /// <summary>Weight of the model.</summary>
    [OptionPerModel(1.0)]
    public List<double> Weight { get; set; } = [];
}

/// <summary>Ways for a merge to be wrong.</summary>
public enum MergeFault
{
    None,
    SquaresTheWeights,
    LosesEqualModels,
    FlattensCubes,
    WeighsTheFirst,
    Remembers,
    DrawsAnew,
    ComputesNarrow,
    DividesByLength,
    HidesNan,
    ReturnsAModel,
    HoldsWideCopies,
}

internal sealed class MeanMerge(IReadOnlyList<double> weights, MergeFault fault) : IMergeStrategy
{
    private static int made;
    private readonly int number = made++;
    private int merged;

    public Tensor Merge(MergeTensor tensor)
    {
        var shares = weights.Select((weight, k) => fault == MergeFault.SquaresTheWeights ? weight * weight : fault == MergeFault.WeighsTheFirst && k == 0 ? weight + 1 : weight).ToArray();
        var total = shares.Sum();
        var wide = fault == MergeFault.HoldsWideCopies ? tensor.Inputs.Select(input => input.to(torch.float32)).ToArray() : null;
        var sum = torch.zeros(tensor.Inputs[0].shape, fault == MergeFault.ComputesNarrow ? tensor.Inputs[0].dtype : torch.float32);
        using var start = tensor.Base?.to(sum.dtype, copy: true);
        for (var k = 0; k < shares.Length; k++)
        {
            using var part = tensor.Inputs[k].to(sum.dtype, copy: true);
            if (start is not null) part.sub_(start);
            sum.add_(part.mul_(shares[k] / total));
        }
        if (start is not null) sum.add_(start);
        foreach (var copy in wide ?? []) copy.Dispose();
        return Spoilt(tensor, sum);
    }

    private Tensor Spoilt(MergeTensor tensor, Tensor sum)
    {
        var first = tensor.Inputs[0];
        switch (fault)
        {
            case MergeFault.LosesEqualModels when tensor.Inputs.All(first.equal): return torch.zeros(first.shape);
            case MergeFault.FlattensCubes when first.dim() == 3: return sum.reshape(-1);
            case MergeFault.Remembers: return sum.add_(merged++);
            case MergeFault.DrawsAnew: sum.reshape(-1).narrow(0, 0, 1).mul_(1 + number % 2 * 1e-6); return sum;
            case MergeFault.DividesByLength: using (var length = (sum * sum).sum().sqrt()) return sum.mul_((length / length).item<float>());
            case MergeFault.HidesNan: using (var lost = sum.isnan()) return sum.masked_fill_(lost, 0);
            case MergeFault.ReturnsAModel: return first.copy_(sum);
            default: return sum;
        }
    }
}
