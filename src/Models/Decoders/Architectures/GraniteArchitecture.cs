// Granite 3: LLaMA with factors of what enters the first block, of the scores, of what each part adds, and of the logits. Source: Granite Team 2024.

using PeftAlign.Abstractions;

namespace PeftAlign.Models.Decoders;

internal sealed class GraniteArchitecture : IModelArchitecture
{
    public string ClassName => "GraniteForCausalLM";

    public IReadOnlyList<InitOption> InitOptions { get; } =
    [
        .. NewModelOptions.Llama,
        NewModelOptions.AttentionBias,
        NewModelOptions.FeedForwardBias,
        new("embedding_multiplier", "number", "1", "(0,)", "Factor of the embeddings."),
        new("attention_multiplier", "number", "0.25", "(0,)", "Factor of the scores."),
        new("residual_multiplier", "number", "1", "(0,)", "Factor of what attention and the feed-forward part add."),
        new("logits_scaling", "number", "1", "(0,)", "What logits are divided by."),
    ];

    public DecoderSpec Describe(ArchitectureConfig config)
    {
        var spec = LlamaShape.Of(config).TurningWhole();
        double? Factor(string key) => config.Positive(key) is { } factor and not 1 ? factor : null;
        return spec with
        {
            Block = spec.Block.WithBiases(config),
            InputScale = Factor("embedding_multiplier"),
            ScoreScale = Factor("attention_multiplier") ?? 1,
            ResidualScale = Factor("residual_multiplier"),
            LogitDivisor = Factor("logits_scaling"),
        };
    }
}
