// IA3 (Liu et al. 2022): learned factors of keys, values and the inner feed-forward activations, in PEFT's files.

using PeftAlign.Abstractions;

[assembly: PeftAlignPlugin(typeof(PeftAlign.Peft.IA3.IA3Plugin))]

namespace PeftAlign.Peft.IA3;

/// <summary>Provides the adapter ia3.</summary>
public sealed class IA3Plugin : IPlugin
{
    /// <inheritdoc/>
    public void Register(IPluginRegistry registry) =>
        registry.Add<IPeftAdapter, IA3Options>("ia3", resultVersion: 3, (_, options) => new IA3Adapter(options));
}

/// <summary>Options of ia3.</summary>
public sealed class IA3Options
{
    /// <summary>Modules to scale: whole names or dotted suffixes, one regular expression for whole names, or all-linear; without any the architecture's usual ones.</summary>
    [OptionAlias("target_modules")]
    [OptionFilled]
    public List<string> Targets { get; set; } = [];

    /// <summary>Of the targets, those whose inputs are scaled instead of their outputs; an empty list is none, left out are the architecture's usual ones.</summary>
    public List<string>? FeedforwardModules { get; set; }

    /// <summary>Modules to leave out, written as targets.</summary>
    public List<string> ExcludeModules { get; set; } = [];

    /// <summary>Modules to train whole, beside the factors.</summary>
    public List<string> ModulesToSave { get; set; } = [];
}
