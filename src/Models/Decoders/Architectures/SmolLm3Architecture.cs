// SmolLM3: LLaMA with layers that have no positions, one of four, in which windows stand where they are switched on. Source: Bakouch et al. 2025.

using System.Text.Json;
using PeftAlign.Abstractions;

namespace PeftAlign.Models.Decoders;

internal sealed class SmolLm3Architecture : IModelArchitecture
{
    public string ClassName => "SmolLM3ForCausalLM";

    public IReadOnlyList<InitOption> InitOptions { get; } =
    [
        .. NewModelOptions.Llama.Where(o => o.Name is not ("rope_theta" or "tie_word_embeddings" or "pad_token_id")),
        NewModelOptions.NoPadding,
        NewModelOptions.Tied with { Default = "true" },
        new("rope_theta", "number", "2e6", "(0,)", "Base of the rotary frequencies."),
        NewModelOptions.AttentionBias,
        NewModelOptions.FeedForwardBias,
        new("no_rope_layer_interval", "integer", "4", "[1,)", "The last of so many layers has no positions."),
        new("no_rope_layers", "any", null, "", "For each layer 1 where it has positions and 0 where it has none, in the place of no_rope_layer_interval."),
        new("use_sliding_window", "boolean", "false", "", "Whether layers without positions have a window."),
        new("sliding_window", "integer", null, "[1,)", "Tokens that one sees in such a layer, itself included."),
    ];

    public DecoderSpec Describe(ArchitectureConfig config)
    {
        var spec = LlamaShape.Of(config).TurningWhole();
        var turns = Turns(config);
        // Layers that are listed have a window whether it is switched on or not.
        var (window, listed) = (config.SlidingWindow, config.LayerTypes is not null);
        return (spec with
        {
            Block = spec.Block.WithBiases(config),
            Ropes = turns.All(turning => turning) ? [] : [.. turns.Select(turning => turning ? spec.Rope : null)],
        }).WithNeededWindows(config, layer => window is not null && !turns[layer], listed ? config.Int("sliding_window", 1) : window);
    }

    private static bool[] Turns(ArchitectureConfig config)
    {
        if (!config.Json.TryGetProperty("no_rope_layers", out var list) || list.ValueKind == JsonValueKind.Null)
        {
            var interval = config.Int("no_rope_layer_interval", 1) ?? 4;
            return [.. Enumerable.Range(1, config.LayerCount).Select(number => number % interval != 0)];
        }
        var isList = list.ValueKind == JsonValueKind.Array && list.GetArrayLength() >= config.LayerCount
            && list.EnumerateArray().All(entry => entry.ValueKind == JsonValueKind.Number && entry.TryGetInt32(out var turn) && turn is 0 or 1);
        return isList ? [.. list.EnumerateArray().Take(config.LayerCount).Select(entry => entry.GetInt32() == 1)]
            : throw config.Wrong("no_rope_layers", $"a list of 0 and 1, one for each of the {config.LayerCount} layers (num_hidden_layers)");
    }
}
