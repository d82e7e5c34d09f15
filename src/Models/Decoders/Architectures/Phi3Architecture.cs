// Phi-3: LLaMA with queries, keys and values in one matrix, gates and values in another. Source: Abdin et al. 2024.

using PeftAlign.Abstractions;

namespace PeftAlign.Models.Decoders;

internal sealed class Phi3Architecture : IModelArchitecture
{
    public string ClassName => "Phi3ForCausalLM";

    public IReadOnlyList<InitOption> InitOptions { get; } =
    [
        .. NewModelOptions.Llama.Where(option => option.Name != "pad_token_id"),
        NewModelOptions.NoPadding,
        new("sliding_window", "integer", null, "[1,)", "Tokens that one sees, itself included; all where it is not given."),
        new("original_max_position_embeddings", "integer", "2048", "[2,)", "Positions before stretching (longrope)."),
    ];

    public DecoderSpec Describe(ArchitectureConfig config)
    {
        var spec = LlamaShape.Of(config);
        var (attention, gate) = (spec.Block.AttentionInputs, spec.Block.FeedForwardInputs[0]);
        return (spec with
        {
            Norm = spec.Norm with { Epsilon = config.NormEpsilon ?? 1e-5 },
            Rope = config.Rope with { OriginalMaxPositions = config.Int("original_max_position_embeddings", 1) ?? 4096 },
            Block = spec.Block with
            {
                AttentionInputs = [new("self_attn.qkv_proj", spec.Hidden, attention.Sum(l => l.Outputs))],
                FeedForwardInputs = [new("mlp.gate_up_proj", spec.Hidden, 2 * gate.Outputs)],
            },
        }).WithWindow(config.SlidingWindow);
    }
}
