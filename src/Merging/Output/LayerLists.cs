// Lists of config.json with an entry for each layer: what kind of attention a layer has, and the like. Where slices move layers, these
// entries go with them; a layer that computes over a window would else get all of the text, or the other way round.

using System.Text.Json;
using System.Text.Json.Nodes;

namespace PeftAlign.Merging;

internal static class LayerLists
{
    // GPT-Neo's: [[["global", "local"], 12]] is twelve times both.
    private const string Repeated = "attention_types";

    private static readonly string[] Keys = ["layer_types", "mlp_layer_types", "layers_block_type", "no_rope_layers", "attention_layers", Repeated];

    /// <summary>Makes the lists those of the layers that the result has. One that a model does not tell in full is left out, if it is of another length: a loader has its own.</summary>
    /// <param name="config">config.json of the result, with the lists of its leader.</param>
    /// <param name="plan">The merge.</param>
    public static void Follow(JsonObject config, MergePlan plan)
    {
        if (plan.Layers == plan.Leader.Config.LayerCount && plan.Sources.Select((source, k) => source.Layer == k).All(stays => stays)) return;
        var known = new Dictionary<(InputModel, string), IReadOnlyList<JsonNode?>?>();
        foreach (var key in Keys.Where(key => config[key] is JsonArray))
        {
            IReadOnlyList<JsonNode?>? Of(InputModel model) => known.TryGetValue((model, key), out var list) ? list : known[(model, key)] = Entries(model, key);
            if (plan.Sources.All(source => Of(source.Model) is not null))
            {
                var entries = new JsonArray([.. plan.Sources.Select(source => Of(source.Model)![(int)source.Layer]?.DeepClone())]);
                config[key] = key == Repeated ? new JsonArray(new JsonArray(entries, 1)) : entries;
            }
            else if (Entries(plan.Leader, key)?.Count != plan.Layers)
            {
                config.Remove(key);
            }
        }
    }

    // One for each layer of a model; null where its config.json does not say so.
    private static IReadOnlyList<JsonNode?>? Entries(InputModel model, string key)
    {
        if (!model.Config.Json.TryGetProperty(key, out var value) || value.ValueKind != JsonValueKind.Array) return null;
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
