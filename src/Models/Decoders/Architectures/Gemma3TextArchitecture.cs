// Gemma 3: Gemma's shape with RMSNorm over each query and key head, and five layers with a window, whose rotary positions are their own,
// to one that sees all. Source: Gemma Team 2025.

using PeftAlign.Abstractions;

namespace PeftAlign.Models.Decoders;

internal sealed class Gemma3TextArchitecture : IModelArchitecture
{
    public string ClassName => "Gemma3ForCausalLM";

    public IReadOnlyList<InitOption> InitOptions { get; } =
    [
        .. NewModelOptions.Gemma.Where(o => o.Name != "rope_theta"),
        new("rope_theta", "number", "1e6", "(0,)", "Base of the rotary frequencies where a layer sees all."),
        new("rope_local_base_freq", "number", "10000", "(0,)", "Base of the rotary frequencies in layers with a window."),
        NewModelOptions.ScoreDivisor,
        new("sliding_window", "integer", "4096", "[1,)", "Tokens that one sees in a layer with a window, itself included."),
        new("sliding_window_pattern", "integer", "6", "[1,)", "The last of so many layers sees all."),
    ];

    public DecoderSpec Describe(ArchitectureConfig config)
    {
        // transformers' class has the key and computes nothing with it.
        if (config.Number("attn_logit_softcapping") is not null) throw config.Wrong("attn_logit_softcapping", "null or absent: Gemma 3 does not cap its scores");
        var spec = GemmaShape.Of(config);
        var pattern = config.Int("sliding_window_pattern", 1) ?? 6;
        return (spec with
        {
            Block = spec.Block with { QueryNorm = "self_attn.q_norm", KeyNorm = "self_attn.k_norm" },
            LogitCap = GemmaShape.Cap(config, "final_logit_softcapping"),
        }).WithWindowsAndRopes(config, layer => (layer + 1) % pattern != 0);
    }
}
