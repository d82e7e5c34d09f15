// Merges that weigh whole models: the linear average (model soups, Wortsman et al. 2022) and passthrough, which copies.

using PeftAlign.Abstractions;

[assembly: PeftAlignPlugin(typeof(PeftAlign.Merge.Linear.MergeLinearPlugin))]

namespace PeftAlign.Merge.Linear;

/// <summary>Provides the merges linear and passthrough.</summary>
public sealed class MergeLinearPlugin : IPlugin
{
    /// <inheritdoc/>
    public void Register(IPluginRegistry registry)
    {
        registry.Add<IMergeStrategy, LinearOptions>("linear", resultVersion: 1, (_, options) => new LinearMerge(options));
        registry.Add<IMergeStrategy, PassthroughOptions>("passthrough", resultVersion: 1, (_, options) => new PassthroughMerge(options));
    }
}

/// <summary>Options of linear.</summary>
[ContractTraits(Inputs = "[1,)")]
public sealed class LinearOptions
{
    /// <summary>Factor of the model.</summary>
    [OptionPerModel]
    public List<double> Weight { get; set; } = [];

    /// <summary>Divide by the sum of the weights.</summary>
    public bool Normalize { get; set; } = true;
}

/// <summary>Options of passthrough.</summary>
[ContractTraits(Inputs = "[1,1]")]
public sealed class PassthroughOptions
{
    /// <summary>Factor of the tensor.</summary>
    [OptionPerModel(1.0)]
    public List<double> Scale { get; set; } = [];
}
