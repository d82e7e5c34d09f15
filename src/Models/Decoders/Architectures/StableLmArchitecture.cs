// StableLM: LLaMA with LayerNorm, of whose heads a quarter turns. Source: Bellagente et al. 2024.

using PeftAlign.Abstractions;

namespace PeftAlign.Models.Decoders;

internal sealed class StableLmArchitecture : IModelArchitecture
{
    // In transformers' class where config.json does not say.
    private const double Turning = 0.25;

    public string ClassName => "StableLmForCausalLM";

    public IReadOnlyList<InitOption> InitOptions { get; } =
    [
        .. NewModelOptions.Llama.Where(o => o.Name != "rms_norm_eps"),
        new("layer_norm_eps", "number", "1e-5", "(0,)", "Epsilon of the norms."),
        new("partial_rotary_factor", "number", "0.25", "(0,1]", "Part of each head's dimensions that turns."),
        new("use_qkv_bias", "boolean", "false", "", "Whether queries, keys and values have biases."),
    ];

    public DecoderSpec Describe(ArchitectureConfig config)
    {
        foreach (var key in (string[])["use_parallel_residual", "qk_layernorm"])
            if (config.Bool(key) == true) throw config.Wrong(key, "false or absent");
        var spec = LlamaShape.Of(config);
        return spec with
        {
            Norm = new NormSpec(NormKind.Layer, config.NormEpsilon ?? 1e-5),
            Rope = config.RopeOr(Turning),
            Block = config.Bool("use_qkv_bias") == true ? spec.Block.WithAttentionBias(output: false) : spec.Block,
        };
    }
}
