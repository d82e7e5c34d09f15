// What most decoders share: LLaMA's parts under LLaMA's names. An architecture of this shape states its differences.

using PeftAlign.Abstractions;

namespace PeftAlign.Models.Decoders;

/// <summary>The shape of LLaMA.</summary>
public static class LlamaShape
{
    private const string Full = "full_attention", Sliding = "sliding_attention";

    /// <summary>RMSNorm, rotary positions, grouped heads, SwiGLU, no biases, no window.</summary>
    /// <param name="config">config.json.</param>
    /// <param name="headWidth">D where config.json does not say; null = hidden size / heads.</param>
    public static DecoderSpec Of(ArchitectureConfig config, long? headWidth = null)
    {
        long hidden = config.HiddenSize, width = config.Int("head_dim", 1) ?? headWidth ?? config.HeadDim;
        var (queries, keys) = (config.HeadCount * width, config.KeyValueHeadCount * width);
        var inner = config.IntermediateSize ?? throw config.Wrong("intermediate_size", "a positive whole number");
        var block = new BlockSpec
        {
            AttentionNorm = "input_layernorm",
            AttentionInputs = [new("self_attn.q_proj", hidden, queries), new("self_attn.k_proj", hidden, keys), new("self_attn.v_proj", hidden, keys)],
            AttentionOutput = new("self_attn.o_proj", queries, hidden),
            FeedForwardNorm = "post_attention_layernorm",
            FeedForwardInputs = [new("mlp.gate_proj", hidden, inner), new("mlp.up_proj", hidden, inner)],
            Activation = config.ActivationOr(Activation.Silu),
            FeedForwardOutput = new("mlp.down_proj", inner, hidden),
        };
        return DecoderShape.Of(config, new NormSpec(NormKind.Rms, config.NormEpsilon ?? 1e-6), block) with
        {
            KeyValueHeads = config.KeyValueHeadCount,
            HeadWidth = width,
            PadToken = config.PaddingRow,
            Rope = config.Rope,
        };
    }

    // As in transformers: without a scaling, the rotation of these classes ignores partial_rotary_factor.
    internal static DecoderSpec TurningWhole(this DecoderSpec spec) => spec.Rope is { } rope ? spec with { Rope = TurningWhole(rope) } : spec;

    private static RopeParameters TurningWhole(RopeParameters rope) => rope.Type == "default" ? rope with { PartialRotaryFactor = 1 } : rope;

    /// <summary>The same window in every layer; null = none.</summary>
    /// <param name="spec">The model.</param>
    /// <param name="window">Tokens that one sees, itself included.</param>
    public static DecoderSpec WithWindow(this DecoderSpec spec, long? window) =>
        spec with { Windows = window is null ? [] : [.. Enumerable.Repeat(window, spec.Layers)] };

    /// <summary>A window in those layers whose entry of layer_types is sliding_attention.</summary>
    /// <param name="spec">The model.</param>
    /// <param name="config">Where layer_types may be.</param>
    /// <param name="standard">Whether a layer has a window, where it is not.</param>
    /// <param name="window">Tokens that one sees in such a layer, itself included; null = none.</param>
    public static DecoderSpec WithWindows(this DecoderSpec spec, ArchitectureConfig config, Func<int, bool> standard, long? window)
    {
        var kinds = Kinds(config, spec.Layers, standard);
        return spec with { Windows = window is null ? [] : [.. kinds.Select(kind => kind == Sliding ? window : null)] };
    }

    /// <summary>The same, where layers with a window have rotary positions of their own.</summary>
    internal static DecoderSpec WithWindowsAndRopes(this DecoderSpec spec, ArchitectureConfig config, Func<int, bool> standard)
    {
        var windowed = spec.WithNeededWindows(config, standard, config.SlidingWindow);
        var (full, sliding) = (TurningWhole(config.RopeOf(Full)), TurningWhole(config.RopeOf(Sliding)));
        return windowed with { Rope = full, Ropes = full == sliding ? [] : [.. Kinds(config, spec.Layers, standard).Select(kind => kind == Sliding ? sliding : full)] };
    }

    /// <summary>As WithWindows, where a layer of sliding_attention without a window is an error, as in transformers.</summary>
    internal static DecoderSpec WithNeededWindows(this DecoderSpec spec, ArchitectureConfig config, Func<int, bool> standard, long? window) =>
        window is not null || !Kinds(config, spec.Layers, standard).Contains(Sliding) ? spec.WithWindows(config, standard, window)
            : throw config.Wrong("sliding_window", "the number of tokens that one sees in layers of sliding_attention, of which there are some");

    private static IReadOnlyList<string> Kinds(ArchitectureConfig config, int layers, Func<int, bool> standard)
    {
        var kinds = config.LayerTypes ?? [.. Enumerable.Range(0, layers).Select(l => standard(l) ? Sliding : Full)];
        return kinds.All(kind => kind is Sliding or Full) ? kinds : throw config.Wrong("layer_types", "full_attention or sliding_attention for each layer");
    }

    /// <summary>Biases where attention_bias and mlp_bias ask for them.</summary>
    internal static BlockSpec WithBiases(this BlockSpec block, ArchitectureConfig config)
    {
        if (config.Bool("attention_bias") == true) block = block.WithAttentionBias(output: true);
        if (config.Bool("mlp_bias") != true) return block;
        return block with { FeedForwardInputs = block.FeedForwardInputs.WithBias(), FeedForwardOutput = block.FeedForwardOutput with { Bias = true } };
    }

    /// <summary>Queries, keys and values with biases, and attention's output where asked.</summary>
    /// <param name="block">The block.</param>
    /// <param name="output">Whether the output has one, too.</param>
    public static BlockSpec WithAttentionBias(this BlockSpec block, bool output) => block with
    {
        AttentionInputs = block.AttentionInputs.WithBias(),
        AttentionOutput = block.AttentionOutput with { Bias = output },
    };

    /// <summary>The layers, each with a bias.</summary>
    /// <param name="linears">Linear layers.</param>
    public static IReadOnlyList<LinearSpec> WithBias(this IEnumerable<LinearSpec> linears) => [.. linears.Select(l => l with { Bias = true })];
}
