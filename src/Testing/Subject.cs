// The plugin under test: makes instances through the real loader and knows the sample data that the plugin ships for its tests.

using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using PeftAlign.Abstractions;
using PeftAlign.Plugins;

namespace PeftAlign.Testing;

internal sealed class Subject(PluginFolder plugin)
{
    private readonly PluginCatalogue catalogue = new([plugin], []);

    private string Samples => Path.Combine(plugin.Path, "conformance");

    /// <summary>A new instance. Options that name files mean those beside the sample; a data set is { "rows": [...] }.</summary>
    public T Create<T>(ProvidedContract provided, JsonObject options)
        where T : class
    {
        provided.Options.ReplacePaths(options, written => Path.Combine(Samples, written));
        return catalogue.Create<T>($"{plugin.Manifest.Id}/{provided.Name}", options, Context.Instance);
    }

    /// <summary>What conformance/KIND.NAME.json of the plugin says: options and sample files for its tests.</summary>
    /// <exception cref="ConformanceException">It is not there or cannot be read.</exception>
    public Sample Sample(ProvidedContract provided)
    {
        var file = Path.Combine(Samples, $"{provided.Kind}.{provided.Name}.json");
        if (!File.Exists(file))
            throw new ConformanceException($"{file} is not there; it tells the conformance kit which options and sample files to use (see the template of 'peftalign plugins new {provided.Kind}').");
        try
        {
            return new Sample(Path.GetDirectoryName(file)!, JsonNode.Parse(File.ReadAllText(file))!.AsObject());
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw new ConformanceException($"{file} is no JSON object: {e.Message}", e);
        }
    }

    private sealed class Context : IPluginContext, IDatasets
    {
        public static Context Instance { get; } = new();

        public ILogger Logger => NullLogger.Instance;

        public string Folder => throw new InvalidOperationException("The catalogue gives the plugin's own folder.");

        public object? GetService(Type type) => type == typeof(IDatasets) ? this : null;

        // Records are the caller's own, so each enumeration makes them.
        public IEnumerable<DataRecord> Open(DatasetReference dataset) => dataset.Definition["rows"] is JsonArray rows
            ? rows.Select((row, k) => new DataRecord(row!.DeepClone().AsObject(), "the sample's rows", k + 1))
            : throw new ConformanceException($"The sample gives the data set {dataset.Definition.ToJsonString()}; in the kit a data set is {{ \"rows\": [{{...}}, ...] }}.");
    }
}

/// <summary>The contents of a conformance/KIND.NAME.json.</summary>
internal sealed record Sample(string Folder, JsonObject Json)
{
    /// <summary>The options to make instances with.</summary>
    public JsonObject Options => Json["options"] is JsonObject options ? (JsonObject)options.DeepClone() : [];

    /// <summary>Full path of a file that a field names; null where the field is not there.</summary>
    public string? File(string field) => Json[field] is { } name ? Path.Combine(Folder, name.GetValue<string>()) : null;

    /// <summary>A text; null where the field is not there.</summary>
    public string? Text(string field) => Json[field]?.GetValue<string>();

    /// <summary>A truth value; false where the field is not there.</summary>
    public bool Flag(string field) => Json[field]?.GetValue<bool>() ?? false;

    /// <summary>A number; null where the field is not there.</summary>
    public int? Number(string field) => Json[field]?.GetValue<int>();
}
