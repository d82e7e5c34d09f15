// Lists of config.json with an entry for each layer: what kind of attention a layer has, and the like. Where slices move layers, these
// entries go with them; a layer that computes over a window would else get all of the text, or the other way round. What is nowhere
// listed, since it follows from a layer's number (DerivedLayers), is written where the move would change it.

using System.Text.Json;
using System.Text.Json.Nodes;

namespace PeftAlign.Merging;

internal static class LayerLists
{
    // GPT-Neo's: [[["global", "local"], 12]] is twelve times both.
    private const string Repeated = "attention_types";

    private static readonly string[] Keys = ["layer_types", "mlp_layer_types", "layers_block_type", "no_rope_layers", "attention_layers", Repeated];

    /// <summary>Whether a model's config.json has a list with an entry for each of its layers.</summary>
    internal static bool Lists(InputModel model) => Keys.Any(key => model.Config.Json.TryGetProperty(key, out var list) && list.ValueKind == JsonValueKind.Array && Entries(model, key) is not null);

    /// <summary>Makes the lists those of the layers that the result has. One that a model does not tell in full is left out, if it is of another length: a loader has its own.</summary>
    /// <param name="config">config.json of the result, with the lists of its leader.</param>
    /// <param name="plan">The merge.</param>
    public static void Follow(JsonObject config, MergePlan plan)
    {
        if (!plan.Moves) return;
        var known = new Dictionary<(InputModel, string), IReadOnlyList<JsonNode?>?>();
        var derived = DerivedLayers.HasWindows(plan.Leader.Config) ? DerivedLayers.Of(plan.Leader.Config, plan.Layers) : null; // a loader's, if nothing is written
        foreach (var key in Keys.Where(key => config[key] is JsonArray || key == derived?.Key))
        {
            IReadOnlyList<JsonNode?>? Of(InputModel model) => known.TryGetValue((model, key), out var list) ? list : known[(model, key)] = Entries(model, key);
            if (plan.Sources.All(source => Of(source.Model) is not null))
            {
                var entries = new JsonArray([.. plan.Sources.Select(source => Of(source.Model)![(int)source.Layer]?.DeepClone())]);
                if (config[key] is null && JsonNode.DeepEquals(entries, new JsonArray([.. derived!.Value.Kinds]))) continue;
                config[key] = key == Repeated ? new JsonArray(new JsonArray(entries, 1)) : entries;
            }
            else if (config[key] is not null && Entries(plan.Leader, key)?.Count != plan.Layers)
            {
                config.Remove(key);
            }
        }
    }

    // One for each layer of a model; null where neither its config.json nor its model type says so.
    private static IReadOnlyList<JsonNode?>? Entries(InputModel model, string key)
    {
        if (!model.Config.Json.TryGetProperty(key, out var value) || value.ValueKind == JsonValueKind.Null)
            return DerivedLayers.Of(model.Config, model.Config.LayerCount) is { } derived && derived.Key == key ? derived.Kinds : null;
        if (value.ValueKind != JsonValueKind.Array) return null;
        var list = JsonNode.Parse(value.GetRawText())!.AsArray();
        IReadOnlyList<JsonNode?>? entries = key == Repeated ? Expanded(list, model.Config.LayerCount) : [.. list];
        return entries?.Count == model.Config.LayerCount ? entries : null;
    }

    private static IReadOnlyList<JsonNode?>? Expanded(JsonArray list, int most)
    {
        var entries = new List<JsonNode?>();
        foreach (var part in list)
        {
            if (part is not JsonArray { Count: 2 } pair || pair[0] is not JsonArray kinds || pair[1] is not JsonValue times || !times.TryGetValue<int>(out var count) || (long)count * kinds.Count > most) return null;
            for (var k = 0; k < count; k++) entries.AddRange(kinds);
        }
        return entries;
    }
}
