// Prefix tuning (Li and Liang 2021): trained keys and values before the text in every block, in PEFT's files.

using PeftAlign.Abstractions;

[assembly: PeftAlignPlugin(typeof(PeftAlign.Peft.Prefix.PrefixPlugin))]

namespace PeftAlign.Peft.Prefix;

/// <summary>Provides the adapter prefix.</summary>
public sealed class PrefixPlugin : IPlugin
{
    /// <inheritdoc/>
    public void Register(IPluginRegistry registry) =>
        registry.Add<IPeftAdapter, PrefixOptions>("prefix", resultVersion: 1, (_, options) => new PrefixAdapter(options));
}

/// <summary>Options of prefix.</summary>
[ContractTraits("no-weights", "own-start")]
public sealed class PrefixOptions
{
    /// <summary>Number of trained keys and values before the text.</summary>
    [OptionRange(1)]
    public int NumVirtualTokens { get; set; } = 20;

    /// <summary>Train them through a small network, which is not saved: the folder holds its output.</summary>
    public bool PrefixProjection { get; set; }

    /// <summary>With prefix_projection, the network's inner width; without it the width of a block's keys.</summary>
    [OptionRange(1)]
    [OptionOnlyWith("prefix_projection", "true")]
    public int? EncoderHiddenSize { get; set; }

    /// <summary>Initial values: random, or zero (not the same as the base: a zero key takes its share of the attention).</summary>
    [OptionChoices("random", "zero")]
    [OptionAlias("init_weights")]
    public string Init { get; set; } = "random";
}
