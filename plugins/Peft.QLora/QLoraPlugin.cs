// QLoRA (Dettmers et al. 2023): LoRA over a frozen base in 4 bits. nf4 and fp4 are bitsandbytes' formats; qlora is lora over nf4.

using PeftAlign.Abstractions;

[assembly: PeftAlignPlugin(typeof(PeftAlign.Peft.QLora.QLoraPlugin))]

namespace PeftAlign.Peft.QLora;

/// <summary>Provides the quantisations nf4 and fp4, and the adapter qlora.</summary>
public sealed class QLoraPlugin : IPlugin
{
    /// <inheritdoc/>
    public void Register(IPluginRegistry registry)
    {
        registry.Add<IQuantization, FourBitOptions>("nf4", resultVersion: 1, (_, options) => new FourBitQuantization(FourBitCode.Nf4, options));
        registry.Add<IQuantization, FourBitOptions>("fp4", resultVersion: 1, (_, options) => new FourBitQuantization(FourBitCode.Fp4, options));
        registry.Alias<IPeftAdapter>("qlora", """{"type":"lora","quantization":"nf4"}""");
    }
}

/// <summary>Options of nf4 and fp4.</summary>
public sealed class FourBitOptions
{
    /// <summary>Quantise the blocks' factors too, to 8 bits.</summary>
    [OptionAlias("bnb_4bit_use_double_quant")]
    public bool DoubleQuant { get; set; } = true;

    /// <summary>Values that share a factor: 32, 64, 128 ... 4096.</summary>
    [OptionRange(32, 4096)]
    public int Blocksize { get; set; } = 64;

    /// <summary>Type of the products with the base: auto is the model's own.</summary>
    [OptionAlias("bnb_4bit_compute_dtype")]
    [OptionChoices("auto", "float32", "bfloat16")]
    public string ComputeDtype { get; set; } = "auto";

    /// <summary>Linear layers to leave as they are: whole names, dotted beginnings or dotted suffixes.</summary>
    [OptionAlias("llm_int8_skip_modules")]
    public List<string> Skip { get; set; } = [];
}
