// LoRA (Hu et al. 2021): W x + alpha / rank * B A x, in PEFT's files and with PEFT's rules for choosing modules.

using PeftAlign.Abstractions;

[assembly: PeftAlignPlugin(typeof(PeftAlign.Peft.Lora.LoraPlugin))]

namespace PeftAlign.Peft.Lora;

/// <summary>Provides the adapter lora.</summary>
public sealed class LoraPlugin : IPlugin
{
    /// <inheritdoc/>
    public void Register(IPluginRegistry registry) =>
        registry.Add<IPeftAdapter, LoraOptions>("lora", resultVersion: 1, (_, options) => new LoraAdapter(options));
}

/// <summary>Options of lora.</summary>
public sealed class LoraOptions
{
    /// <summary>Rank of the change.</summary>
    [OptionRange(1)]
    [OptionAlias("r")]
    public int Rank { get; set; } = 8;

    /// <summary>Numerator of the scale.</summary>
    [OptionRange(0, ExclusiveMinimum = true)]
    [OptionAlias("lora_alpha")]
    public double Alpha { get; set; } = 8;

    /// <summary>Share of the inputs that are dropped in training.</summary>
    [OptionRange(0, 0.999)]
    [OptionAlias("lora_dropout")]
    public double Dropout { get; set; }

    /// <summary>Modules to change: whole names or dotted suffixes, or all-linear.</summary>
    [OptionAlias("target_modules")]
    public List<string> Targets { get; set; } = ["q_proj", "v_proj"];

    /// <summary>Scale by alpha / sqrt(rank).</summary>
    public bool UseRslora { get; set; }
}
