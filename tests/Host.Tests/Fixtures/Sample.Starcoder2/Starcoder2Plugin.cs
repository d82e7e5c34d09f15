// StarCoder 2 as a third party would bring it: rotary positions and a window as Mistral's, LayerNorm and a feed-forward part
// without a gate as GPT-2's, biases everywhere. Source: Lozhkov et al. 2024.

using PeftAlign.Abstractions;

[assembly: PeftAlignPlugin(typeof(Sample.Starcoder2.Starcoder2Plugin))]

namespace Sample.Starcoder2;

/// <summary>Provides the architecture starcoder2.</summary>
public sealed class Starcoder2Plugin : IPlugin
{
    /// <inheritdoc/>
    public void Register(IPluginRegistry registry) => registry.Add<IModelArchitecture, NoOptions>("starcoder2", resultVersion: 1, (_, _) => new Starcoder2Architecture());
}

/// <summary>Nothing to choose.</summary>
public sealed class NoOptions;

internal sealed class Starcoder2Architecture : IModelArchitecture
{
    public string ClassName => "Starcoder2ForCausalLM";

    public IReadOnlyList<InitOption> InitOptions =>
    [
        new("vocab_size", "integer", null, "[2,)", "Number of token ids."),
        new("hidden_size", "integer", "64", "[2,)", "Width of the residual stream."),
        new("intermediate_size", "integer", "128", "[1,)", "Width inside the feed-forward part."),
        new("num_hidden_layers", "integer", "2", "[1,)", "Number of blocks."),
        new("num_attention_heads", "integer", "4", "[1,)", "Number of query heads."),
        new("num_key_value_heads", "integer", "2", "[1,)", "Number of key and value heads."),
    ];

    public DecoderSpec Describe(ArchitectureConfig config)
    {
        var biased = config.Bool("use_bias") ?? true;
        LinearSpec Linear(string name, long inputs, long outputs) => new(name, inputs, outputs) { Bias = biased };
        long hidden = config.HiddenSize, inner = config.IntermediateSize ?? 4 * hidden, keys = config.KeyValueHeadCount * config.HeadDim;
        return new DecoderSpec
        {
            ModelType = config.ModelType,
            Vocabulary = config.VocabularySize,
            Hidden = hidden,
            Layers = config.LayerCount,
            Heads = config.HeadCount,
            KeyValueHeads = config.KeyValueHeadCount,
            HeadWidth = config.HeadDim,
            MaxPositions = config.MaxPositions ?? 4096,
            TiedHead = config.TieWordEmbeddings,
            PadToken = config.PaddingRow,
            Norm = new NormSpec(NormKind.Layer, config.NormEpsilon ?? 1e-5),
            Rope = config.Rope,
            Windows = config.SlidingWindow is { } window ? [.. Enumerable.Repeat((long?)window, config.LayerCount)] : [],
            Block = new BlockSpec
            {
                AttentionNorm = "input_layernorm",
                AttentionInputs = [Linear("self_attn.q_proj", hidden, hidden), Linear("self_attn.k_proj", hidden, keys), Linear("self_attn.v_proj", hidden, keys)],
                AttentionOutput = Linear("self_attn.o_proj", hidden, hidden),
                FeedForwardNorm = "post_attention_layernorm",
                FeedForwardInputs = [Linear("mlp.c_fc", hidden, inner)],
                Gated = false,
                Activation = config.ActivationOr(Activation.GeluTanh),
                FeedForwardOutput = Linear("mlp.c_proj", inner, hidden),
            },
        };
    }
}
