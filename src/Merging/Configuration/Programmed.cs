// Configurations that are not files: a strategy's parameters as JSON, values per model in lists; {"layers": [...]} for values that
// run over the layers, [{"filter": ..., "value": ...}] for values by tensors' names.

using System.Text.Json.Nodes;
using PeftAlign.Plugins;

namespace PeftAlign.Merging;

internal static class Programmed
{
    /// <summary>Merges whole models.</summary>
    /// <param name="method">The strategy.</param>
    /// <param name="schema">Its parameters.</param>
    /// <param name="models">What is merged, in order.</param>
    /// <param name="baseModel">The base, or null.</param>
    /// <param name="parameters">By name; a list without filters gives one value to each model, all else counts for all of them.</param>
    /// <exception cref="Abstractions.UserErrorException">A list has another length than there are models.</exception>
    public static MergeConfig Config(string method, OptionsSchema schema, IReadOnlyList<string> models, string? baseModel, JsonObject parameters)
    {
        var (own, whole) = (models.Select(_ => new Dictionary<string, Setting>()).ToArray(), new Dictionary<string, Setting>());
        foreach (var (name, value) in parameters)
        {
            if (schema.Find(name) is not { } option || value is null) continue;
            var each = option.PerModel && value is JsonArray && !IsFiltered(value) ? value.AsArray() : null;
            if (each is { } list && list.Count != models.Count)
                throw new Abstractions.UserErrorException($"{name} gives {list.Count} values for {models.Count} models ({string.Join(", ", models)}); give one value for all, or one for each.");
            if (option.PerModel)
                for (var k = 0; k < models.Count; k++) own[k][option.Name] = SettingOf(option, each is null ? value : each[k]!);
            else whole[option.Name] = SettingOf(option, value);
        }
        var sources = models.Select((model, k) => new SourceConfig(new ModelName(model, default), null, new Settings(own[k]), default)).ToList();
        return new MergeConfig(method, default, baseModel is null ? null : new ModelName(baseModel, default), [new SliceConfig(sources, null, Settings.None, default)], true, Settings.None, new Settings(whole)) { MergekitDefaults = false };
    }

    /// <summary>Whether a parameter's value is one for all tensors and models.</summary>
    public static bool IsPlain(JsonNode? value) => value is not JsonObject && (value is not JsonArray list || list.All(IsPlain));

    private static bool IsFiltered(JsonNode value) => value is JsonArray list && list.Any(one => one is JsonObject entry && entry.ContainsKey("value"));

    private static Setting SettingOf(OptionSchema option, JsonNode value) => value switch
    {
        JsonArray cases when IsFiltered(cases) => new Filtered([.. cases.Select(one => new Filtered.Case((string?)one!["filter"], SettingOf(option, one["value"]!), default))], default),
        JsonObject gradient => new Gradient([.. gradient["layers"]!.AsArray().Select(point => point!.DeepClone())], option.Type.Element ?? option.Type, default),
        _ => new Plain(value.DeepClone(), default),
    };
}
