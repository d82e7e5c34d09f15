// Qwen3: LLaMA with RMSNorm over each query and key head before rotation. Source: Yang et al. 2025.

using PeftAlign.Abstractions;

namespace PeftAlign.Models.Decoders;

internal sealed class Qwen3Architecture : IModelArchitecture
{
    public string ClassName => "Qwen3ForCausalLM";

    public IReadOnlyList<InitOption> InitOptions { get; } =
        [.. NewModelOptions.Llama, NewModelOptions.HeadWidth with { Default = "16" }, .. QwenWindows.Options];

    public DecoderSpec Describe(ArchitectureConfig config)
    {
        var spec = LlamaShape.Of(config).TurningWhole();
        var block = spec.Block with { QueryNorm = "self_attn.q_norm", KeyNorm = "self_attn.k_norm" };
        if (config.Bool("attention_bias") == true) block = block.WithAttentionBias(output: true);
        return QwenWindows.In(spec with { Block = block }, config);
    }
}
