// The parameters of the family, under mergekit's names.

using PeftAlign.Abstractions;

namespace PeftAlign.Merge.Dare;

/// <summary>Parameters of every merge of task vectors.</summary>
public abstract class TaskVectorOptions
{
    /// <summary>Factor of the model's task vector.</summary>
    [OptionPerModel]
    public List<double> Weight { get; set; } = [];

    /// <summary>Divide by the sum of the weights that took part.</summary>
    public bool Normalize { get; set; }

    /// <summary>Factor of the merged task vector.</summary>
    public double Lambda { get; set; } = 1;

    /// <summary>Accepted because mergekit's files have it: masks are bits here, and the numbers do not depend on it.</summary>
    [OptionRecorded]
    public bool Int8Mask { get; set; }
}

/// <summary>Task arithmetic (Ilharco et al. 2023): the weighted sum of task vectors.</summary>
[ContractTraits(MergeBase.Origin, Inputs = "[1,)")]
public sealed class TaskArithmeticOptions : TaskVectorOptions;

/// <summary>Parameters of merges that drop entries.</summary>
public abstract class SparseOptions : TaskVectorOptions
{
    /// <summary>Share of the task vector's entries that are kept.</summary>
    [OptionPerModel(1.0)]
    [OptionRange(0, 1)]
    public List<double> Density { get; set; } = [];

    /// <summary>How kept entries compensate dropped ones: exact divides them by the share or probability of keeping, l1 keeps the
    /// sum of magnitudes, off leaves them as they are. In mergekit's files true is l1 and false is off.</summary>
    [OptionChoices("exact", "l1", "off")]
    public string Rescale { get; set; } = "off";
}

/// <summary>TIES (Yadav et al. 2023): keep the largest entries, elect a sign for each, average what agrees.</summary>
[ContractTraits(MergeBase.Origin, Inputs = "[1,)")]
public sealed class TiesOptions : SparseOptions
{
    /// <summary>TIES normalises by default.</summary>
    public TiesOptions() => Normalize = true;
}

/// <summary>DARE (Yu et al. 2024): drop entries at random and rescale the rest.</summary>
[ContractTraits(MergeBase.Origin, Inputs = "[1,)")]
public sealed class DareOptions : SparseOptions
{
    /// <summary>DARE rescales exactly by default.</summary>
    public DareOptions() => Rescale = "exact";
}

/// <summary>Model Breadcrumbs (Davari and Belilovsky 2023): drop the smallest and the very largest entries.</summary>
[ContractTraits(MergeBase.Origin, Inputs = "[1,)")]
public sealed class BreadcrumbsOptions : SparseOptions
{
    /// <summary>Share of the largest entries that is dropped.</summary>
    [OptionPerModel(0.01)]
    [OptionRange(0, 1)]
    public List<double> Gamma { get; set; } = [];
}

/// <summary>DELLA (Deep et al. 2024) without an election: drop entries at random, small ones more often.</summary>
[ContractTraits(MergeBase.Origin, Inputs = "[1,)")]
public class DellaLinearOptions : SparseOptions
{
    /// <summary>DELLA rescales exactly by default.</summary>
    public DellaLinearOptions() => Rescale = "exact";

    /// <summary>Half the range of the keep probabilities around the density.</summary>
    [OptionPerModel(0.15)]
    [OptionRange(0, 0.5)]
    public List<double> Epsilon { get; set; } = [];
}

/// <summary>DELLA (Deep et al. 2024): drop entries at random, small ones more often, and elect signs.</summary>
[ContractTraits(MergeBase.Origin, Inputs = "[1,)")]
public sealed class DellaOptions : DellaLinearOptions
{
    /// <summary>DELLA with an election normalises by default.</summary>
    public DellaOptions() => Normalize = true;
}
