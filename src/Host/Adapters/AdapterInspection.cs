// What an adapter folder holds, as a document and as lines. Reads headers and numbers, needs no model and no plugin.

using System.Globalization;
using System.Text.Json.Nodes;
using PeftAlign.Models.Checkpoints;

namespace PeftAlign.Host.Adapters;

internal sealed class AdapterInspection(string path) : IDisposable
{
    private static readonly string[] Shown =
    [
        "r", "lora_alpha", "lora_dropout", "use_rslora", "use_dora", "bias", "target_modules", "exclude_modules", "layers_to_transform", "rank_pattern", "alpha_pattern",
        "modules_to_save", "trainable_token_indices", "feedforward_modules", "num_virtual_tokens", "prompt_tuning_init", "prompt_tuning_init_text", "prefix_projection", "bottleneck_size", "non_linearity", "init_lora_weights",
    ];

    // Any type may be looked at.
    private readonly AdapterFolder adapter = AdapterFolder.Open(path, [TypeIn(path)]);

    internal IReadOnlyList<string> Warnings => adapter.Warnings;

    private long Parameters => adapter.Tensors.Sum(t => t.Count);

    internal JsonNode Document() => new JsonObject
    {
        ["path"] = Path.GetFullPath(adapter.Path),
        ["peft_type"] = adapter.PeftType,
        ["base_model"] = adapter.BaseModel,
        ["parameters"] = Parameters,
        ["config"] = JsonNode.Parse(adapter.Config.GetRawText()),
        ["tensors"] = new JsonArray([.. adapter.Tensors.Select(t => (JsonNode)new JsonObject { ["name"] = t.Name, ["dtype"] = t.DType.ToString().ToLowerInvariant(), ["shape"] = new JsonArray([.. t.Shape.Select(s => (JsonNode)s)]) })]),
    };

    internal IEnumerable<string> Lines()
    {
        yield return string.Create(CultureInfo.InvariantCulture, $"{adapter.Path}: {adapter.PeftType}, {Parameters:N0} parameters in {adapter.Tensors.Count} tensors");
        yield return $"  base model           {adapter.BaseModel ?? "not named"}";
        foreach (var key in Shown)
            if (adapter.Config.TryGetProperty(key, out var value) && value.GetRawText() is not ("null" or "{}" or "[]" or "false"))
                yield return $"  {key,-20} {value.GetRawText().ReplaceLineEndings("").Replace("  ", "", StringComparison.Ordinal)}";
    }

    public void Dispose() => adapter.Dispose();

    private static string TypeIn(string path) => AdapterReader.PeftType(path);
}
