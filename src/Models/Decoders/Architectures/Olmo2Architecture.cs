// OLMo 2: LLaMA with norms behind each part instead of before it, and over all queries and all keys of a row. Source: OLMo Team 2024.

using PeftAlign.Abstractions;

namespace PeftAlign.Models.Decoders;

internal sealed class Olmo2Architecture : IModelArchitecture
{
    internal static IReadOnlyList<InitOption> Options { get; } = [.. NewModelOptions.Llama, NewModelOptions.AttentionBias];

    public string ClassName => "Olmo2ForCausalLM";

    public IReadOnlyList<InitOption> InitOptions => Options;

    public DecoderSpec Describe(ArchitectureConfig config) => Shape(config);

    internal static DecoderSpec Shape(ArchitectureConfig config)
    {
        var spec = LlamaShape.Of(config).TurningWhole();
        var block = spec.Block with
        {
            AttentionNorm = null,
            AttentionEndNorm = "post_attention_layernorm",
            FeedForwardNorm = null,
            FeedForwardEndNorm = "post_feedforward_layernorm",
            QueryNorm = "self_attn.q_norm",
            KeyNorm = "self_attn.k_norm",
            WideHeadNorms = true,
        };
        if (config.Bool("attention_bias") == true) block = block.WithAttentionBias(output: true);
        return spec with { Norm = new NormSpec(NormKind.Rms, config.NormEpsilon ?? 1e-5) { RoundsOnce = true }, TurnsWide = true, Block = block };
    }
}
