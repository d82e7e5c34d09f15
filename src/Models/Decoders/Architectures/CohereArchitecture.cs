// Cohere's Command R and Aya: LLaMA's layers, attention and feed-forward beside each other under one LayerNorm without bias, neighbouring dimensions
// turn together, logits have a factor. Source: Cohere 2024.

using PeftAlign.Abstractions;

namespace PeftAlign.Models.Decoders;

internal sealed class CohereArchitecture : IModelArchitecture
{
    public string ClassName => "CohereForCausalLM";

    public IReadOnlyList<InitOption> InitOptions { get; } =
    [
        .. NewModelOptions.Llama.Where(option => option.Name is not ("rms_norm_eps" or "tie_word_embeddings")),
        NewModelOptions.Tied with { Default = "true" },
        new("layer_norm_eps", "number", "1e-5", "(0,)", "Epsilon of the norms."),
        NewModelOptions.AttentionBias,
        new("logit_scale", "number", "0.0625", "(0,)", "Factor of the logits."),
    ];

    public DecoderSpec Describe(ArchitectureConfig config)
    {
        if (config.Bool("use_qk_norm") == true) throw config.Wrong("use_qk_norm", "false or absent: norms of queries and keys with weights for each head (Command R+) are not computed");
        var spec = LlamaShape.Of(config).TurningWhole();
        var block = spec.Block with { Parallel = true, FeedForwardNorm = spec.Block.AttentionNorm };
        if (config.Bool("attention_bias") == true) block = block.WithAttentionBias(output: true);
        return spec with
        {
            Norm = new NormSpec(NormKind.Layer, config.NormEpsilon ?? 1e-5) { HasBias = false },
            TurnsPairs = true,
            LogitDivisor = 1 / (config.Positive("logit_scale") ?? 0.0625),
            Block = block,
        };
    }
}
