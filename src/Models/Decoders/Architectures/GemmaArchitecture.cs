// Gemma 1: LLaMA whose norms scale by 1 + w, with scaled embeddings, GeGLU and wide heads. Source: Gemma Team 2024.

using PeftAlign.Abstractions;

namespace PeftAlign.Models.Decoders;

internal sealed class GemmaArchitecture : IModelArchitecture
{
    public string ClassName => "GemmaForCausalLM";

    public IReadOnlyList<InitOption> InitOptions => NewModelOptions.Gemma;

    public DecoderSpec Describe(ArchitectureConfig config)
    {
        if (config.Bool("use_bidirectional_attention") == true) throw config.Wrong("use_bidirectional_attention", "false or absent");
        var spec = LlamaShape.Of(config).TurningWhole();
        // The first releases say gelu and mean its approximation; transformers reads them so.
        var block = spec.Block with { Activation = config.ActivationOr(Activation.GeluTanh) is var given and not Activation.Gelu ? given : Activation.GeluTanh };
        if (config.Bool("attention_bias") == true) block = block.WithAttentionBias(output: true);
        return spec with { Norm = spec.Norm with { Kind = NormKind.RmsPlusOne }, Block = block, EmbeddingScale = Math.Sqrt(config.HiddenSize) };
    }
}
