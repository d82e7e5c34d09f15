// The options of an architecture: what it says of a new model's config.json, as plugin.json lists it, so that manifests with `init`
// are checked without loading its assembly.

using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using PeftAlign.Abstractions;

namespace PeftAlign.Plugins;

internal static class InitSchema
{
    /// <summary>The schema of an architecture's <see cref="IModelArchitecture.InitOptions"/>.</summary>
    /// <param name="factory">Makes it, without options.</param>
    /// <exception cref="PluginException">It cannot be made, has options that nothing could set, or describes one wrongly.</exception>
    internal static OptionsSchema Of(Factory factory)
    {
        if (ClassSchema.Properties(factory.OptionsType).FirstOrDefault() is { } own)
            throw new PluginException($"The architecture '{factory.Name}' has an option '{ClassSchema.NameOf(own.Property)}' in its class {factory.OptionsType.FullName}, which nothing sets: its options are keys of config.json. Put it into InitOptions and read it in Describe.");
        var options = Made(factory).InitOptions.Select(option => Option(factory.Name, option)).ToArray();
        if (options.GroupBy(option => option.Name).FirstOrDefault(group => group.Count() > 1) is { } twice)
            throw new PluginException($"The architecture '{factory.Name}' has two options named '{twice.Key}' in InitOptions; remove one.");
        var schema = new OptionsSchema(options);
        // A default is checked as what a user writes.
        var faults = options.Where(option => option.Default is not null).SelectMany(option => schema.Check(new JsonObject { [option.Name] = option.Default!.DeepClone() }));
        OptionFaults.ThrowIfAny($"architecture {factory.Name}, the defaults in InitOptions", [.. faults]);
        return schema;
    }

    private static IModelArchitecture Made(Factory factory)
    {
        try
        {
            return (IModelArchitecture)factory.Create(new Nothing(), Activator.CreateInstance(factory.OptionsType)!);
        }
        catch (Exception e) when (e is not (PluginException or OutOfMemoryException))
        {
            throw new PluginException($"Making the architecture '{factory.Name}' failed with {e.GetType().Name}: {e.Message.TrimEnd('.')}. It is made while the plugin is built, from no services, for its InitOptions; let its factory need none.", e);
        }
    }

    private static OptionSchema Option(string architecture, InitOption option)
    {
        PluginException Wrong(string what, string value, string allowed) =>
            new($"The architecture '{architecture}' gives its option '{option.Name}' the {what} '{value}'; write {allowed}.");
        var kind = option.Type switch
        {
            "integer" => OptionKind.Long,
            "number" => OptionKind.Double,
            "boolean" => OptionKind.Bool,
            "string" => OptionKind.String,
            _ => throw Wrong("type", option.Type, "integer, number, boolean or string"),
        };
        var (low, high) = Limits(option.Range) ?? throw Wrong("range", option.Range, "an interval such as [1,), (0,) or [0,1], or nothing");
        JsonNode? standard;
        try
        {
            standard = option.Default is null ? null : JsonNode.Parse(option.Default);
        }
        catch (JsonException)
        {
            throw Wrong("default", option.Default!, "JSON, a text in quotation marks");
        }
        return new OptionSchema(option.Name, new OptionType(kind, Nullable: option.Default is null), standard)
        {
            Minimum = low,
            ExclusiveMinimum = low is not null && option.Range[0] == '(',
            Maximum = high,
            Docs = option.Docs,
        };
    }

    // "[1,)", "(0,1]", "": a limit that is left out does not restrict. An upper limit is always included, as everywhere in plugin.json.
    private static (double? Low, double? High)? Limits(string range)
    {
        if (range.Length == 0) return (null, null);
        if (range.Length < 3 || range[0] is not ('[' or '(') || range[^1] is not (']' or ')') || range[1..^1].Split(',') is not [var low, var high]) return null;
        if (high.Length > 0 && range[^1] != ']') return null;
        var (from, to) = (Number(low), Number(high));
        var isWrong = (from is null && low.Length > 0) || (to is null && high.Length > 0) || from > to;
        return isWrong ? null : (from, to);

        static double? Number(string text) => double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var number) && double.IsFinite(number) ? number : null;
    }

    private sealed class Nothing : IPluginContext
    {
        public ILogger Logger => NullLogger.Instance;

        public string Folder => "";

        public object? GetService(Type type) => null;
    }
}
