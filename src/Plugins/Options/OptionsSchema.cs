// All options of one thing. The schema of an options class and the one of plugin.json are the same, so that checks and help
// need no assembly, and the host's own options (training) follow the same rules as a plugin's.

using System.Text.Json.Nodes;

namespace PeftAlign.Plugins;

/// <summary>The options of one contract, method or command.</summary>
/// <param name="options">In the order of help.</param>
public sealed class OptionsSchema(IReadOnlyList<OptionSchema> options)
{
    /// <summary>In the order of help: that of the class.</summary>
    public IReadOnlyList<OptionSchema> Options { get; } = options;

    /// <summary>The schema of an options class; defaults are those of a new instance.</summary>
    /// <typeparam name="T">Public settable properties of the types in <see cref="OptionKind"/>.</typeparam>
    /// <exception cref="PluginException">A property is of another type, or two answer to one name.</exception>
    public static OptionsSchema Of<T>() where T : class, new() => ClassSchema.Read(typeof(T), XmlDocs.Beside(typeof(T).Assembly));

    /// <summary>The option that a key means, by name or alias; null where there is none.</summary>
    /// <param name="key">A key of a manifest, or a flag without its dashes.</param>
    public OptionSchema? Find(string key) => Options.FirstOrDefault(option => option.Answers(key));

    /// <summary>Checks given options and returns every fault; empty where they will bind.</summary>
    /// <param name="given">Keys as the user wrote them.</param>
    public IReadOnlyList<OptionFault> Check(JsonObject given) => OptionsChecker.Check(this, given).Faults;

    /// <summary>The given options under their own names, each default added: what a job's identity is made of.</summary>
    /// <param name="given">Keys as the user wrote them.</param>
    /// <exception cref="PluginException">They have faults; the message lists all.</exception>
    public JsonObject Complete(JsonObject given)
    {
        var (values, faults) = OptionsChecker.Check(this, given);
        OptionFaults.ThrowIfAny("options", faults);
        foreach (var option in Options.Where(option => !values.ContainsKey(option.Name))) values[option.Name] = option.Default?.DeepClone();
        return new JsonObject(values.OrderBy(pair => pair.Key, StringComparer.Ordinal).Select(pair => KeyValuePair.Create(pair.Key, pair.Value?.DeepClone())));
    }

    /// <summary>Puts another path in the place of each that given options name, those in lists and maps included; an empty one names
    /// nothing and stays.</summary>
    /// <param name="given">Under the options' own names; changed in place.</param>
    /// <param name="place">The other path.</param>
    public void ReplacePaths(JsonObject given, Func<string, string> place)
    {
        foreach (var option in Options.Where(option => option.Names == "path"))
            if (given.TryGetPropertyValue(option.Name, out var value)) given[option.Name] = Placed(value, place);
    }

    // A value that is not a text is a fault, which Check reports.
    private static JsonNode? Placed(JsonNode? node, Func<string, string> place) => node switch
    {
        JsonArray list => new JsonArray([.. list.Select(item => Placed(item, place))]),
        JsonObject map => new JsonObject(map.Select(entry => KeyValuePair.Create(entry.Key, Placed(entry.Value, place)))),
        JsonValue value when value.TryGetValue<string>(out var path) && path.Length > 0 => place(path),
        _ => node?.DeepClone(),
    };

    /// <summary>Makes an options object.</summary>
    /// <typeparam name="T">The options class that this schema was read from.</typeparam>
    /// <param name="given">Keys as the user wrote them.</param>
    /// <param name="what">Whose options they are, for the message: "method dpo".</param>
    /// <exception cref="PluginException">They have faults; the message lists all.</exception>
    public T Bind<T>(JsonObject given, string what) where T : class, new() => (T)Bind(typeof(T), given, what, _ => []);

    internal object Bind(Type type, JsonObject given, string what, Func<JsonObject, IReadOnlyList<string>> traitsOf)
    {
        var (values, faults) = OptionsChecker.Check(this, given);
        OptionFaults.ThrowIfAny(what, faults);
        return OptionsConverter.Create(type, values, traitsOf);
    }
}

/// <summary>Many faults, one message.</summary>
public static class OptionFaults
{
    /// <summary>Throws if there are faults.</summary>
    /// <param name="what">Whose options they are: "method dpo".</param>
    /// <param name="faults">All faults.</param>
    /// <exception cref="PluginException">There is at least one; each is a line of the message.</exception>
    public static void ThrowIfAny(string what, IReadOnlyList<OptionFault> faults)
    {
        if (faults.Count == 1) throw new PluginException($"{what}: {faults[0].Message}");
        if (faults.Count > 1)
            throw new PluginException($"{what}: {faults.Count} faults.\n" + string.Join('\n', faults.Select(fault => $"  {fault.Message}")));
    }
}
