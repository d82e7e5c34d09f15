// A manifest made from another tool's configuration: its sections in order, and what the reader has to know about them.

using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Core;
using PeftAlign.Host.Running;
using PeftAlign.Plugins;

namespace PeftAlign.Host.Importing;

/// <param name="Name">The experiment's name.</param>
/// <param name="Seed">Its seed.</param>
/// <param name="Model">The model's mapping.</param>
/// <param name="Datasets">By name.</param>
/// <param name="Adapter">The adapter's mapping, or null for full fine-tuning.</param>
/// <param name="Method">The method's mapping.</param>
/// <param name="Notes">What means something else here, a sentence each.</param>
/// <param name="Dropped">What could not be carried over though it changes results.</param>
internal sealed record ImportedManifest(string Name, long Seed, JsonObject Model, JsonObject Datasets, JsonObject? Adapter, JsonObject Method, IReadOnlyList<string> Notes, IReadOnlyList<string> Dropped)
{
    /// <summary>The manifest as YAML, with the notes above it.</summary>
    /// <param name="source">Where it came from.</param>
    internal string Yaml(string source)
    {
        var text = new StringBuilder();
        void Comment(string line) => text.Append("# ").Append(line.ReplaceLineEndings(" ")).Append('\n');
        Comment($"Imported from {source} (TRL).");
        foreach (var note in Notes) Comment($"Differs: {note}");
        foreach (var dropped in Dropped) Comment($"NOT carried over: {dropped}");
        text.Append(CultureInfo.InvariantCulture, $"peftalign: 1\nname: {Scalar(Name)}\nseeds: [{Seed}]\n");
        text.Append($"models:\n  model: {Flow(Model)}\ndatasets:\n");
        foreach (var (name, dataset) in Datasets) text.Append($"  {name}: {Flow(dataset)}\n");
        if (Adapter is not null) text.Append($"adapters:\n  adapter: {Flow(Adapter)}\n");
        text.Append("methods:\n  method:\n");
        foreach (var (key, value) in Method) text.Append($"    {key}: {Flow(value)}\n");
        text.Append($"train:\n  - {{ models: [model], datasets: [train], methods: [method]{(Adapter is null ? "" : ", adapters: [adapter]")} }}\n");
        return text.ToString();
    }

    /// <summary>What `run` would say of the manifest before it looks at a file: a path such as methods.method.beta, and why; once for each path.</summary>
    /// <param name="plugins">What methods, adapters and readers there are.</param>
    internal IReadOnlyList<(string Path, string Message)> Faults(PluginCatalogue plugins)
    {
        // Which of them are the product's is asked where the manifest runs: it names none.
        var known = plugins.Plugins.Select(plugin => new KnownPlugin(plugin with { Origin = PluginOrigin.Product }, ""));
        var read = Manifests.Read(Yaml(Name), Name, SchemaCatalogue.Of(known), []);
        var faults = read.Experiment is { } experiment ? Plans.Create(experiment, path => path).Faults : read.Faults;
        return [.. faults.Select(fault => (Path: fault.Path.Split('[')[0], fault.Message)).DistinctBy(fault => fault.Path)];
    }

    private static string Flow(JsonNode? node) => node switch
    {
        null => "null",
        JsonObject map => "{ " + string.Join(", ", map.Select(entry => $"{Scalar(entry.Key)}: {Flow(entry.Value)}")) + " }",
        JsonArray list => "[" + string.Join(", ", list.Select(Flow)) + "]",
        _ when node.GetValueKind() == JsonValueKind.String => Scalar(node.GetValue<string>()),
        _ => node.ToJsonString(),
    };

    // Plain where YAML cannot take the text for anything else.
    private static string Scalar(string text) =>
        text.Length > 0 && text.All(c => char.IsAsciiLetterOrDigit(c) || c is '_' or '-' or '/' or '.') && char.IsAsciiLetter(text[0]) && text.ToLowerInvariant() is not ("true" or "false" or "yes" or "no" or "on" or "off" or "null" or "nan" or "inf" or "y" or "n")
            ? text
            : JsonSerializer.Serialize(text);
}
