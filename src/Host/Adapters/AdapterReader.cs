// From an adapter folder to the plugin that reads it: by its peft_type, not by how it was trained.

using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Host.Jobs;
using PeftAlign.Models.Adapters;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Plugins;

namespace PeftAlign.Host.Adapters;

/// <summary>Finds the reader of adapter folders among installed plugins.</summary>
/// <param name="plugins">The plugins.</param>
internal sealed class AdapterReader(PluginCatalogue plugins)
{
    // Where the name of what provides an adapter is not its peft_type in small letters.
    private static readonly Dictionary<string, string> Names = new() { ["PROMPT_TUNING"] = "prompt", ["PREFIX_TUNING"] = "prefix" };

    /// <summary>A folder's contents; its tensors stay valid.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="warn">Told of what is odd but usable.</param>
    /// <exception cref="UserErrorException">It is missing or broken, or nothing reads its peft_type.</exception>
    internal (AdapterFiles Files, IPeftAdapter Reader) Open(string folder, Action<string> warn)
    {
        using var adapter = AdapterFolder.Open(folder, [PeftType(folder)]);
        foreach (var warning in adapter.Warnings) warn(warning);
        var files = new AdapterFiles(JsonNode.Parse(adapter.Config.GetRawText())!.AsObject(), adapter.Names.ToDictionary(name => name, adapter.Tensor));
        return (files, Of(adapter.PeftType, folder).Reader);
    }

    /// <summary>What a folder changes of a model. Entries of target_modules that the model has no module for are told, as PEFT passes over them.</summary>
    /// <param name="opened">What <see cref="Open"/> gave.</param>
    /// <param name="outline">The model's modules.</param>
    /// <param name="folder">Named in the warning.</param>
    /// <param name="warn">Told of them.</param>
    /// <exception cref="UserErrorException">The folder is of another model.</exception>
    internal static IReadOnlyList<AdapterSite> Sites((AdapterFiles Files, IPeftAdapter Reader) opened, ModelOutline outline, string folder, Action<string> warn)
    {
        var sites = ScoreHead.Load(opened.Reader, outline, opened.Files);
        WarnOfExcluded(outline, opened.Files.Config.Texts("exclude_modules"), $"{folder}: ", warn);
        var idle = ModuleTargets.Idle(outline, opened.Files.Config.Texts("target_modules"));
        if (idle.Count > 0) warn($"{folder}: target_modules names {string.Join(", ", idle)}, which no module of the model is called.");
        return sites;
    }

    /// <summary>Tells of a list of modules to leave out that leaves out nothing, as PEFT does.</summary>
    /// <param name="outline">The model's modules.</param>
    /// <param name="excluded">exclude_modules.</param>
    /// <param name="source">Stands before the warning.</param>
    /// <param name="warn">Told.</param>
    internal static void WarnOfExcluded(ModelOutline outline, IReadOnlyList<string> excluded, string source, Action<string> warn)
    {
        if (excluded.Count > 0 && ModuleTargets.Idle(outline, excluded, "exclude_modules").Count == excluded.Count)
            warn($"{source}exclude_modules names {string.Join(", ", excluded)}, which no module of the model is called; nothing is left out.");
    }

    /// <summary>Writes a folder in PEFT's format.</summary>
    /// <param name="folder">Made if it is not there.</param>
    /// <param name="files">Its contents.</param>
    internal static void Write(string folder, AdapterFiles files) =>
        AdapterFolder.Write(folder, files.Config.ToDictionary(c => c.Key, c => (object?)(c.Value is null ? null : JsonSerializer.SerializeToElement(c.Value))), files.Tensors);

    /// <summary>What a folder says it is.</summary>
    internal static string PeftType(string folder)
    {
        var file = Path.Combine(folder, "adapter_config.json");
        if (!Directory.Exists(folder)) throw new UserError(folder, "is no folder", "give an adapter folder in PEFT's format");
        if (!File.Exists(file) && File.Exists(Path.Combine(folder, "adapter", "adapter_config.json"))) throw new UserError(folder, "holds an adapter in its folder adapter", $"give {Path.Combine(folder, "adapter")}");
        if (!File.Exists(file) && PolicyControls.Adapters(folder) is { Count: > 0 } controls)
            throw new UserError(folder, $"holds the controls {string.Join(", ", controls.Keys)}, each an adapter of its own", $"give one of them, such as {controls.Values.First().Folder}");
        if (!File.Exists(file)) throw new UserError(folder, "has no adapter_config.json", "give an adapter folder in PEFT's format");
        return CheckedType(file);
    }

    /// <summary>The settings in an adapter_config.json; empty where it is broken, which the folder's own checks tell.</summary>
    internal static JsonObject Config(string file)
    {
        try
        {
            return JsonNode.Parse(File.ReadAllText(file)) is JsonObject json && json.Count >= 0 ? json : [];
        }
        catch (Exception e) when (e is JsonException or ArgumentException) // a key that stands twice is the second
        {
            return [];
        }
    }

    private static string CheckedType(string file) => Config(file)["peft_type"] is JsonValue value && value.TryGetValue<string>(out var type) ? type : "LORA";

    /// <summary>What outside the product reads a folder, with the version of its numbers, as part of what identifies a policy; empty where the product does.</summary>
    /// <exception cref="UserErrorException">It is no adapter's folder, or nothing reads its peft_type.</exception>
    internal string PartOf(string folder)
    {
        var (plugin, contract) = Of(PeftType(folder), folder).By;
        return plugin.Origin == PluginOrigin.Product ? "" : $"+{plugin.Manifest.Id}/{contract.Name}@{contract.ResultVersion}";
    }

    private (Provided By, IPeftAdapter Reader) Of(string type, string folder)
    {
        var name = Names.GetValueOrDefault(type, type.ToLowerInvariant());
        var provided = plugins.All.Where(p => p.Contract.Kind == ContractKinds.Of(typeof(IPeftAdapter)) && p.Contract.Alias == "").ToList();
        foreach (var candidate in provided.OrderByDescending(p => p.Contract.Name == name))
        {
            var reader = plugins.Create<IPeftAdapter>(candidate.QualifiedName, [], new BareContext());
            if (reader.PeftType == type) return (candidate, reader);
        }
        throw new UserError($"{folder}: peft_type {type}", $"is read by none of the installed adapters ({string.Join(", ", provided.Select(p => p.Contract.Name).Order(StringComparer.Ordinal))})", "install a plugin that provides it");
    }
}
