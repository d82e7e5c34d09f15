// LoRA (Hu et al. 2021): W x + alpha / rank * B A x, in PEFT's files and with PEFT's rules for choosing modules.

using PeftAlign.Abstractions;

[assembly: PeftAlignPlugin(typeof(PeftAlign.Peft.Lora.LoraPlugin))]

namespace PeftAlign.Peft.Lora;

/// <summary>Provides the adapter lora.</summary>
public sealed class LoraPlugin : IPlugin
{
    /// <inheritdoc/>
    public void Register(IPluginRegistry registry) =>
        registry.Add<IPeftAdapter, LoraOptions>("lora", resultVersion: 3, (_, options) => new LoraAdapter(options));
}
