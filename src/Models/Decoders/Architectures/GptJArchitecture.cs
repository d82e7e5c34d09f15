// GPT-J: attention and feed-forward beside each other under one LayerNorm, of the first dimensions of each head neighbours turn together, the
// output head has a bias. Source: Wang and Komatsuzaki 2021.

using PeftAlign.Abstractions;

namespace PeftAlign.Models.Decoders;

internal sealed class GptJArchitecture : IModelArchitecture
{
    // Those of transformers' class; no key of config.json changes the base.
    private const double Base = 10000;
    private const int Turning = 64;

    public string ClassName => "GPTJForCausalLM";

    public IReadOnlyList<InitOption> InitOptions { get; } =
    [
        .. NewModelOptions.Gpt("n_embd", "n_inner", "n_layer", "n_head", "n_positions").Where(option => option.Name != "tie_word_embeddings"),
        new("rotary_dim", "integer", "8", "[2,)", "Dimensions of each head that turn."),
    ];

    public DecoderSpec Describe(ArchitectureConfig config)
    {
        long hidden = config.HiddenSize, width = hidden / config.HeadCount, inner = config.IntermediateSize ?? 4 * hidden;
        LinearSpec Projection(string name) => new(name, hidden, hidden);
        return DecoderShape.WithLayerNorm(config, new("transformer.wte", "transformer.h.", "transformer.ln_f"), new BlockSpec
        {
            Parallel = true,
            AttentionNorm = "ln_1",
            AttentionInputs = [Projection("attn.q_proj"), Projection("attn.k_proj"), Projection("attn.v_proj")],
            AttentionOutput = Projection("attn.out_proj"),
            FeedForwardNorm = "ln_1",
            FeedForwardInputs = [new("mlp.fc_in", hidden, inner) { Bias = true }],
            Gated = false,
            Activation = config.ActivationOr(Activation.GeluTanh),
            FeedForwardOutput = new("mlp.fc_out", inner, hidden) { Bias = true },
        }) with
        {
            HeadBias = true,
            Rope = new RopeParameters("default", Base) { PartialRotaryFactor = Share(config, width) },
            TurnsPairs = true,
        };
    }

    // A share whose product with the width is the number itself, whichever way the division rounded.
    private static double Share(ArchitectureConfig config, long width)
    {
        var turning = config.Int("rotary_dim") ?? Turning;
        if (turning < 2 || turning > width || turning % 2 != 0) throw config.Wrong("rotary_dim", $"an even number from 2 to {width}, the width of a head (n_embd / n_head)");
        var share = (double)turning / width;
        return (int)(width * share) == turning ? share : Math.BitIncrement(share);
    }
}
