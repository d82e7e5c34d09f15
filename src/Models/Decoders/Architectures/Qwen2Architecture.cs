// Qwen2: LLaMA with biases on queries, keys and values; windows in the upper layers where they are switched on.
// Source: Yang et al. 2024.

using PeftAlign.Abstractions;

namespace PeftAlign.Models.Decoders;

internal sealed class Qwen2Architecture : IModelArchitecture
{
    public string ClassName => "Qwen2ForCausalLM";

    public IReadOnlyList<InitOption> InitOptions { get; } = [.. NewModelOptions.Llama, .. QwenWindows.Options];

    public DecoderSpec Describe(ArchitectureConfig config)
    {
        var spec = LlamaShape.Of(config).TurningWhole();
        return QwenWindows.In(spec with { Block = spec.Block.WithAttentionBias(output: false) }, config);
    }
}

/// <summary>Windows as Qwen's configurations say them.</summary>
internal static class QwenWindows
{
    internal static IReadOnlyList<InitOption> Options { get; } =
    [
        new("use_sliding_window", "boolean", "false", "", "Whether layers from max_window_layers on have a window."),
        new("sliding_window", "integer", null, "[1,)", "Tokens that one sees in such a layer, itself included; 4096 where it is not given."),
        new("max_window_layers", "integer", null, "[0,)", "First layer with a window; 28 where it is not given."),
    ];

    internal static DecoderSpec In(DecoderSpec spec, ArchitectureConfig config)
    {
        if (config.Bool("use_sliding_window") != true) return spec;
        var first = config.Int("max_window_layers", 0) ?? 28;
        return spec.WithWindows(config, layer => layer >= first, config.SlidingWindow);
    }
}
