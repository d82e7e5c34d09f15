// The parameters of one tensor: for each model its own setting, then the slice's, the module's, the file's, the default.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Plugins;
using OptionSchema = PeftAlign.Plugins.OptionSchema;

namespace PeftAlign.Merging;

/// <param name="config">The configuration.</param>
/// <param name="schema">The strategy's parameters.</param>
/// <param name="create">Makes a strategy from resolved parameters.</param>
internal sealed class ParameterResolver(MergeConfig config, OptionsSchema schema, Func<JsonObject, IMergeStrategy> create)
{
    private readonly Dictionary<string, IMergeStrategy> made = [];

    /// <summary>The strategy for a tensor.</summary>
    /// <param name="tensor">Its name in the result.</param>
    /// <param name="inputs">The models whose values are wanted, in order: settings and the tensor's name there.</param>
    /// <param name="slice">The slice.</param>
    /// <param name="t">Place within the slice.</param>
    /// <exception cref="UserErrorException">A required value is missing, or the strategy refuses the values.</exception>
    public IMergeStrategy Strategy(string tensor, IReadOnlyList<(SourceConfig Source, string Name, bool Added)> inputs, SliceConfig slice, double t)
    {
        var values = new JsonObject();
        foreach (var option in schema.Options)
            if (option.PerModel) values[option.Name] = new JsonArray([.. inputs.Select(input => PerModel(option, tensor, input, slice, t))]);
            else if (Value(option, [slice.Parameters, config.ModuleParameters, config.Parameters], tensor, t) is { } value) values[option.Name] = value;
            else if (option.Required) throw Missing(option, $"the tensor {tensor}", option.Name);
        var key = values.ToJsonString();
        if (made.TryGetValue(key, out var strategy)) return strategy;
        try
        {
            return made[key] = create(values);
        }
        catch (Exception e) when (e is UserErrorException or PluginException)
        {
            throw new UserErrorException($"{config.Method}, {tensor}: {e.Message}", e);
        }
    }

    private JsonNode PerModel(OptionSchema option, string tensor, (SourceConfig Source, string Name, bool Added) input, SliceConfig slice, double t)
    {
        Settings[] scopes = [input.Source.Parameters, slice.Parameters, config.ModuleParameters, config.Parameters];
        if (Value(option, scopes, input.Name, t) is { } value) return value;
        var why = input.Added ? ", which takes part because base_model names it; list it with its own parameters, or leave base_model out" : "";
        return option.Default?.DeepClone() ?? throw Missing(option, $"the tensor {tensor} of model {input.Source.Model}{why}", option.Name);
    }

    private JsonNode? Value(OptionSchema option, Settings[] scopes, string tensor, double t)
    {
        foreach (var scope in scopes)
            if (scope.ByName.TryGetValue(option.Name, out var setting) && setting.ValueFor(tensor, t) is { } value) return value;
        // mergekit's default where ours is the papers'.
        return config.MergekitDefaults && option.Name == "rescale" && (string?)option.Default == "exact" ? "l1" : null;
    }

    private UserErrorException Missing(OptionSchema option, string where, string name) =>
        new($"{config.Method} needs the parameter {name}{(option.Docs.Length > 0 ? $" ({option.Docs.TrimEnd('.').ToLowerInvariant()})" : "")}, and no value is given for {where}.");
}
