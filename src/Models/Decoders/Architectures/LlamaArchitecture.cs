// LLaMA 1, 2, 3 and what is built like them (Vicuna ...). Source: Touvron et al. 2023.

using PeftAlign.Abstractions;

namespace PeftAlign.Models.Decoders;

internal sealed class LlamaArchitecture : IModelArchitecture
{
    public string ClassName => "LlamaForCausalLM";

    public IReadOnlyList<InitOption> InitOptions => NewModelOptions.Llama;

    public DecoderSpec Describe(ArchitectureConfig config)
    {
        var spec = LlamaShape.Of(config).TurningWhole();
        return spec with { Block = spec.Block.WithBiases(config) };
    }
}
