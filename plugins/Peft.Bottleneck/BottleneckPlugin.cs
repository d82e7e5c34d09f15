// Bottleneck adapters: small networks over the outputs of attention and feed-forward parts, before these are added to the residual
// stream (Houlsby et al. 2019), or over the feed-forward part's alone (Pfeiffer et al. 2021).

using PeftAlign.Abstractions;

[assembly: PeftAlignPlugin(typeof(PeftAlign.Peft.Bottleneck.BottleneckPlugin))]

namespace PeftAlign.Peft.Bottleneck;

/// <summary>Provides the adapter bottleneck.</summary>
public sealed class BottleneckPlugin : IPlugin
{
    /// <inheritdoc/>
    public void Register(IPluginRegistry registry) =>
        registry.Add<IPeftAdapter, BottleneckOptions>("bottleneck", resultVersion: 2, (_, options) => new BottleneckAdapter(options));
}

/// <summary>Options of bottleneck.</summary>
[ContractTraits("no-weights")]
public sealed class BottleneckOptions
{
    /// <summary>Where the networks are: houlsby (after attention and after the feed-forward part) or pfeiffer (after the feed-forward part).</summary>
    [OptionChoices("houlsby", "pfeiffer")]
    public string Placement { get; set; } = "houlsby";

    /// <summary>Modules whose outputs are changed, instead of the placement's: whole names or dotted suffixes, one regular expression for whole names, or all-linear.</summary>
    [OptionAlias("target_modules")]
    [OptionFilled]
    public List<string> Targets { get; set; } = [];

    /// <summary>Modules to leave out, written as targets.</summary>
    public List<string> ExcludeModules { get; set; } = [];

    /// <summary>Inner width.</summary>
    [OptionRange(1)]
    public int BottleneckSize { get; set; } = 64;

    /// <summary>Activation between the two layers: gelu, gelu_tanh, relu, or silu (swish).</summary>
    [OptionChoices("gelu", "gelu_tanh", "relu", "silu")]
    public string NonLinearity { get; set; } = "gelu";

    /// <summary>Initial values of the two matrices: houlsby (normal with deviation 0.01, cut at two deviations: almost the base) or zero (the second is 0: the base itself). Biases start at 0.</summary>
    [OptionChoices("houlsby", "zero")]
    public string Init { get; set; } = "houlsby";

    /// <summary>Train the norms of the blocks too, as Houlsby et al. do.</summary>
    public bool TrainNorms { get; set; }

    /// <summary>Modules to train whole, beside the networks.</summary>
    public List<string> ModulesToSave { get; set; } = [];
}
