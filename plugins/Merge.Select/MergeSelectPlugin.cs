// Merges that choose entry by entry which models to follow: sce, arcee_fusion, nearswap, ram and ramplus_tl. Names and numbers are
// mergekit's 0.1.5.

using PeftAlign.Abstractions;

[assembly: PeftAlignPlugin(typeof(PeftAlign.Merge.Select.MergeSelectPlugin))]

namespace PeftAlign.Merge.Select;

/// <summary>Provides the merges sce, arcee_fusion, nearswap, ram and ramplus_tl.</summary>
public sealed class MergeSelectPlugin : IPlugin
{
    /// <inheritdoc/>
    public void Register(IPluginRegistry registry)
    {
        registry.Add<IMergeStrategy, SceOptions>("sce", resultVersion: 1, (_, options) => new SceMerge(options));
        registry.Add<IMergeStrategy, ArceeFusionOptions>("arcee_fusion", resultVersion: 1, (_, _) => new ArceeFusionMerge());
        registry.Add<IMergeStrategy, NearSwapOptions>("nearswap", resultVersion: 1, (_, options) => new NearSwapMerge(options));
        registry.Add<IMergeStrategy, RamOptions>("ram", resultVersion: 1, (_, options) => new RamMerge(options));
        registry.Add<IMergeStrategy, RamPlusOptions>("ramplus_tl", resultVersion: 1, (_, options) => new RamMerge(options));
    }
}

/// <summary>SCE (Wan et al. 2024): entries whose variance over the models is largest, weighted by energy, signs elected.</summary>
[ContractTraits(MergeBase.Origin, Inputs = "[1,)")]
public sealed class SceOptions
{
    /// <summary>Of the entries whose variance over the models is not 0, the share that is followed: those of the largest variance.</summary>
    [OptionRange(0, 1)]
    public double SelectTopk { get; set; } = 1;

    /// <summary>Accepted for mergekit's files: the numbers do not depend on it.</summary>
    [OptionRecorded]
    public bool Int8Mask { get; set; }
}

/// <summary>Arcee Fusion: the model's entries where they matter most, else the base's.</summary>
[ContractTraits(MergeBase.First, Inputs = "[2,2]")]
public sealed class ArceeFusionOptions;

/// <summary>NearSwap: towards the model where it is near the base.</summary>
[ContractTraits(MergeBase.First, Inputs = "[2,2]")]
public sealed class NearSwapOptions
{
    /// <summary>Distance up to which the model's entry is taken whole.</summary>
    [OptionRequired]
    public double T { get; set; }
}

/// <summary>Reinforced Agent Merging: changes of one model are kept, changes of several averaged.</summary>
[ContractTraits(MergeBase.Origin, Inputs = "[1,)")]
public class RamOptions
{
    /// <summary>An entry counts as changed where it differs from the base by more than this.</summary>
    [OptionRange(0)]
    public double Epsilon { get; set; } = 1e-5;
}

/// <summary>Reinforced Agent Merging with changes of one model alone made larger, tensor by tensor.</summary>
[ContractTraits(MergeBase.Origin, Inputs = "[1,)")]
public sealed class RamPlusOptions : RamOptions
{
    /// <summary>How much larger, per ratio of shared to own changes.</summary>
    public double R { get; set; } = 0.1;

    /// <summary>Largest ratio that counts.</summary>
    [OptionRange(0)]
    public double Alpha { get; set; } = 0.2;
}
