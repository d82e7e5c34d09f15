// GPT-2: learned positions, LayerNorm, weights stored (inputs, outputs), tanh GELU. Source: Radford et al. 2019.

using PeftAlign.Abstractions;

namespace PeftAlign.Models.Decoders;

internal sealed class Gpt2Architecture : IModelArchitecture
{
    public string ClassName => "GPT2LMHeadModel";

    public IReadOnlyList<InitOption> InitOptions { get; } = NewModelOptions.Gpt("n_embd", "n_inner", "n_layer", "n_head", "n_positions");

    public DecoderSpec Describe(ArchitectureConfig config)
    {
        foreach (var key in (string[])["scale_attn_by_inverse_layer_idx", "add_cross_attention"])
            if (config.Bool(key) == true) throw config.Wrong(key, "false or absent");
        LinearSpec Stored(string name, long inputs, long outputs) => new(name, inputs, outputs) { Bias = true, Transposed = true };
        long hidden = config.HiddenSize, inner = config.IntermediateSize ?? 4 * hidden;
        return GptShape.Of(config) with
        {
            ScoreScale = config.Bool("scale_attn_weights") == false ? 1 : null,
            Block = GptShape.Block(config) with
            {
                AttentionInputs = [Stored("attn.c_attn", hidden, 3 * hidden)],
                AttentionOutput = Stored("attn.c_proj", hidden, hidden),
                FeedForwardInputs = [Stored("mlp.c_fc", hidden, inner)],
                FeedForwardOutput = Stored("mlp.c_proj", inner, hidden),
            },
        };
    }
}
