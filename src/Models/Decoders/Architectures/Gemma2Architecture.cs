// Gemma 2: Gemma's shape with capped scores and logits, and windows in every other layer. Source: Gemma Team 2024.

using PeftAlign.Abstractions;

namespace PeftAlign.Models.Decoders;

internal sealed class Gemma2Architecture : IModelArchitecture
{
    public string ClassName => "Gemma2ForCausalLM";

    public IReadOnlyList<InitOption> InitOptions { get; } =
    [
        .. NewModelOptions.Gemma,
        NewModelOptions.ScoreDivisor,
        new("sliding_window", "integer", "4096", "[1,)", "Tokens that one sees in layers 0, 2, ..., itself included."),
        new("attn_logit_softcapping", "number", "50", "(0,)", "Cap of the scores."),
        new("final_logit_softcapping", "number", "30", "(0,)", "Cap of the logits."),
    ];

    public DecoderSpec Describe(ArchitectureConfig config)
    {
        // Absent and null differ here: absent means the class's default, null no cap.
        double? Cap(string key, double standard) => config.Json.TryGetProperty(key, out _) ? GemmaShape.Cap(config, key) : standard;
        return (GemmaShape.Of(config) with { ScoreCap = Cap("attn_logit_softcapping", 50), LogitCap = Cap("final_logit_softcapping", 30) })
            .WithWindows(config, layer => layer % 2 == 0, config.SlidingWindow);
    }
}
