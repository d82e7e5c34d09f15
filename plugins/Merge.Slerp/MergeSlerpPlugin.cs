// Merges along spheres: slerp (Shoemake 1985), nuslerp, multislerp and the Karcher mean. Names and numbers are mergekit's 0.1.5.

using PeftAlign.Abstractions;

[assembly: PeftAlignPlugin(typeof(PeftAlign.Merge.Slerp.MergeSlerpPlugin))]

namespace PeftAlign.Merge.Slerp;

/// <summary>Provides the merges slerp, nuslerp, multislerp and karcher.</summary>
public sealed class MergeSlerpPlugin : IPlugin
{
    /// <inheritdoc/>
    public void Register(IPluginRegistry registry)
    {
        registry.Add<IMergeStrategy, SlerpOptions>("slerp", resultVersion: 1, (_, options) => new SlerpMerge(options));
        registry.Add<IMergeStrategy, NuSlerpOptions>("nuslerp", resultVersion: 1, (_, options) => new NuSlerpMerge(options));
        registry.Add<IMergeStrategy, MultiSlerpOptions>("multislerp", resultVersion: 1, (_, options) => new MultiSlerpMerge(options));
        registry.Add<IMergeStrategy, KarcherOptions>("karcher", resultVersion: 1, (_, options) => new KarcherMerge(options));
    }
}

/// <summary>Spherical interpolation between two models, each tensor taken as one vector.</summary>
[ContractTraits(MergeBase.First, Inputs = "[2,2]")]
public sealed class SlerpOptions
{
    /// <summary>0 is the base, 1 the other model.</summary>
    [OptionRequired]
    public double T { get; set; }
}

/// <summary>Spherical interpolation by weights, of models or of their differences from a base.</summary>
[ContractTraits(MergeBase.OptionalOrigin, Inputs = "[2,2]")]
public sealed class NuSlerpOptions
{
    /// <summary>Share of the model.</summary>
    [OptionPerModel]
    public List<double> Weight { get; set; } = [];

    /// <summary>Without nuslerp_flatten: interpolate columns instead of rows.</summary>
    public bool NuslerpRowWise { get; set; }

    /// <summary>Take a tensor as one vector.</summary>
    public bool NuslerpFlatten { get; set; } = true;
}

/// <summary>Interpolation of several models in the tangent space at their mean direction.</summary>
[ContractTraits(MergeBase.OptionalOrigin, Inputs = "[1,)")]
public sealed class MultiSlerpOptions
{
    /// <summary>Share of the model.</summary>
    [OptionPerModel]
    public List<double> Weight { get; set; } = [];

    /// <summary>Divide the weights by their sum.</summary>
    public bool NormalizeWeights { get; set; } = true;

    /// <summary>Added to lengths before dividing by them.</summary>
    [OptionRange(0)]
    public double Eps { get; set; } = 1e-8;
}

/// <summary>The Karcher mean of directions (Karcher 1977), at the models' mean length.</summary>
[ContractTraits(Inputs = "[1,)")]
public sealed class KarcherOptions
{
    /// <summary>Most iterations.</summary>
    [OptionRange(0)]
    public int MaxIter { get; set; } = 10;

    /// <summary>Lengths and angles below this count as 0.</summary>
    [OptionRange(0)]
    public double Tol { get; set; } = 1e-5;
}
