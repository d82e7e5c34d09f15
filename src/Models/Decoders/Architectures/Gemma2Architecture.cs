// Gemma 2: norms scale by 1 + w and stand before and after each part, embeddings are scaled, scores and logits are capped,
// windows in every other layer, GeGLU. Source: Gemma Team 2024.

using PeftAlign.Abstractions;

namespace PeftAlign.Models.Decoders;

internal sealed class Gemma2Architecture : IModelArchitecture
{
    public string ClassName => "Gemma2ForCausalLM";

    public IReadOnlyList<InitOption> InitOptions { get; } =
    [
        .. NewModelOptions.Gemma,
        new("query_pre_attn_scalar", "integer", "16", "[1,)", "Scores are divided by its square root."),
        new("sliding_window", "integer", "4096", "[1,)", "Tokens that one sees in layers 0, 2, ..., itself included."),
        new("attn_logit_softcapping", "number", "50", "(0,)", "Cap of the scores."),
        new("final_logit_softcapping", "number", "30", "(0,)", "Cap of the logits."),
    ];

    public DecoderSpec Describe(ArchitectureConfig config)
    {
        if (config.Bool("use_bidirectional_attention") == true) throw config.Wrong("use_bidirectional_attention", "false or absent");
        // Absent and null differ here: absent means the class's default, null no cap.
        double? Cap(string key, double standard) => config.Json.TryGetProperty(key, out _) ? config.Number(key) : standard;
        var spec = LlamaShape.Of(config, headWidth: 256).TurningWhole();
        var block = spec.Block with
        {
            AttentionEndNorm = "post_attention_layernorm",
            FeedForwardNorm = "pre_feedforward_layernorm",
            FeedForwardEndNorm = "post_feedforward_layernorm",
            Activation = config.ActivationOr(Activation.GeluTanh),
        };
        if (config.Bool("attention_bias") == true) block = block.WithAttentionBias(output: true);
        return (spec with
        {
            Norm = spec.Norm with { Kind = NormKind.RmsPlusOne },
            Block = block,
            EmbeddingScale = Math.Sqrt(config.HiddenSize),
            ScoreScale = 1 / Math.Sqrt(config.Number("query_pre_attn_scalar") ?? 256),
            ScoreCap = Cap("attn_logit_softcapping", 50),
            LogitCap = Cap("final_logit_softcapping", 30),
        }).WithWindows(config, layer => layer % 2 == 0, config.SlidingWindow);
    }
}
