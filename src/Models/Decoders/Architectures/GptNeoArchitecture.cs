// GPT-Neo: GPT-2 with ordinary matrices, windows in its local layers, and scores that are not scaled. Source: Black et al. 2021.

using System.Text.Json;
using PeftAlign.Abstractions;

namespace PeftAlign.Models.Decoders;

internal sealed class GptNeoArchitecture : IModelArchitecture
{
    public string ClassName => "GPTNeoForCausalLM";

    public IReadOnlyList<InitOption> InitOptions { get; } =
    [
        .. NewModelOptions.Gpt("hidden_size", "intermediate_size", "num_layers", "num_heads", "max_position_embeddings"),
        new("window_size", "integer", "256", "[1,)", "Tokens that one sees in a local layer, itself included."),
        new("attention_types", "any", """[[["global","local"],1]]""", "", "Kinds of layers and how often they follow each other; as many as num_layers in all."),
    ];

    public DecoderSpec Describe(ArchitectureConfig config)
    {
        var layers = config.Texts("attention_layers") ?? Expanded(config) ?? [.. Enumerable.Range(0, config.LayerCount).Select(l => l % 2 == 0 ? "global" : "local")];
        if (layers.Count != config.LayerCount || layers.Any(l => l is not ("global" or "local")))
            throw config.Wrong(config.Texts("attention_layers") is null ? "attention_types" : "attention_layers", $"global or local for each of the {config.LayerCount} layers (num_layers)");
        long window = config.Int("window_size", 1) ?? 256;
        return GptShape.Of(config) with { ScoreScale = 1, Windows = [.. layers.Select(l => l == "local" ? window : (long?)null)] };
    }

    // attention_types: [[["global", "local"], 12]] is twelve times both.
    private static IReadOnlyList<string>? Expanded(ArchitectureConfig config)
    {
        if (!config.Json.TryGetProperty("attention_types", out var types) || types.ValueKind == JsonValueKind.Null) return null;
        try
        {
            return [.. types.EnumerateArray().SelectMany(run => Enumerable.Repeat(run[0].EnumerateArray().Select(kind => kind.GetString()!).ToList(), Math.Min(run[1].GetInt32(), config.LayerCount)).SelectMany(kinds => kinds))];
        }
        catch (Exception e) when (e is InvalidOperationException or FormatException or IndexOutOfRangeException)
        {
            throw config.Wrong("attention_types", "a list like [[[\"global\", \"local\"], 12]]");
        }
    }
}
