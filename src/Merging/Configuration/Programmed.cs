// Configurations that are not files: a strategy's parameters as JSON, values per model in lists.

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
    /// <param name="parameters">By name; a list gives one value to each model, a single value all of them.</param>
    /// <exception cref="Abstractions.UserErrorException">A list has another length than there are models.</exception>
    public static MergeConfig Config(string method, OptionsSchema schema, IReadOnlyList<string> models, string? baseModel, JsonObject parameters)
    {
        var (own, whole) = (models.Select(_ => new Dictionary<string, Setting>()).ToArray(), new Dictionary<string, Setting>());
        foreach (var (name, value) in parameters)
        {
            if (schema.Find(name) is not { } option || value is null) continue;
            if (option.PerModel && value is JsonArray list && list.Count != models.Count)
                throw new Abstractions.UserErrorException($"{name} gives {list.Count} values for {models.Count} models ({string.Join(", ", models)}); give one value for all, or one for each.");
            if (option.PerModel)
                for (var k = 0; k < models.Count; k++) own[k][option.Name] = new Plain((value is JsonArray values ? values[k]! : value).DeepClone(), default);
            else whole[option.Name] = new Plain(value.DeepClone(), default);
        }
        var sources = models.Select((model, k) => new SourceConfig(new ModelName(model, default), null, new Settings(own[k]), default)).ToList();
        return new MergeConfig(method, default, baseModel is null ? null : new ModelName(baseModel, default), [new SliceConfig(sources, null, Settings.None, default)], true, Settings.None, new Settings(whole)) { MergekitDefaults = false };
    }
}
