// Merges that weigh whole models: the linear average (model soups, Wortsman et al. 2022), Model Stock, and passthrough, which copies.
// Names and numbers are mergekit's 0.1.5.

using PeftAlign.Abstractions;

[assembly: PeftAlignPlugin(typeof(PeftAlign.Merge.Linear.MergeLinearPlugin))]

namespace PeftAlign.Merge.Linear;

/// <summary>Provides the merges linear, model_stock and passthrough.</summary>
public sealed class MergeLinearPlugin : IPlugin
{
    /// <inheritdoc/>
    public void Register(IPluginRegistry registry)
    {
        registry.Add<IMergeStrategy, LinearOptions>("linear", resultVersion: 1, (_, options) => new LinearMerge(options));
        registry.Add<IMergeStrategy, PassthroughOptions>("passthrough", resultVersion: 1, (_, options) => new PassthroughMerge(options));
        registry.Add<IMergeStrategy, ModelStockOptions>("model_stock", resultVersion: 1, (_, options) => new ModelStockMerge(options));
    }
}

/// <summary>The weighted average (model soups, Wortsman et al. 2022).</summary>
[ContractTraits(Inputs = "[1,)")]
public sealed class LinearOptions
{
    /// <summary>Factor of the model.</summary>
    [OptionPerModel]
    public List<double> Weight { get; set; } = [];

    /// <summary>Divide by the sum of the weights.</summary>
    public bool Normalize { get; set; } = true;
}

/// <summary>A copy of one model, scaled where asked: for stacking layers.</summary>
[ContractTraits(Inputs = "[1,1]")]
public sealed class PassthroughOptions
{
    /// <summary>Factor of the tensor.</summary>
    [OptionPerModel(1.0)]
    public List<double> Scale { get; set; } = [];
}

/// <summary>Model Stock (Jang et al. 2024): between the base and the mean of the models, by the angles between them.</summary>
[ContractTraits(MergeBase.Origin, Inputs = "[2,)")]
public sealed class ModelStockOptions
{
    /// <summary>Find the place between base and mean for each row.</summary>
    public bool FilterWise { get; set; }
}
