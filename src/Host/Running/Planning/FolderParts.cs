// Which plugins outside the product compute the model of a folder, so that a plan's identities tell one version of them from another. An
// architecture is known from config.json and plugin.json alone. A quantisation is asked: its plugin is loaded, but only where a folder is
// quantised and a plugin outside the product quantises.

using System.Text.Json;
using PeftAlign.Abstractions;
using PeftAlign.Core;
using PeftAlign.Plugins;

namespace PeftAlign.Host.Running;

internal sealed class FolderParts
{
    private readonly string root;
    private readonly PluginCatalogue plugins;

    /// <param name="root">Folder that relative paths start from.</param>
    /// <param name="plugins">What jobs may load.</param>
    internal FolderParts(string root, IEnumerable<PluginFolder> plugins) => (this.root, this.plugins) = (root, new PluginCatalogue(plugins, []));

    /// <summary>What they do for the model at a path; empty where the product does all, or no model lies there.</summary>
    /// <exception cref="PluginException">A quantisation cannot be loaded.</exception>
    internal IReadOnlyList<FolderPart> Of(string path)
    {
        var (architectures, quantizations) = (Those<IModelArchitecture>(), Those<IQuantization>());
        if (architectures.Concat(quantizations).All(IsProduct)) return [];
        using var config = Read(Path.Combine(Path.GetFullPath(path, root), "config.json"));
        if (config is not { RootElement: { ValueKind: JsonValueKind.Object } keys }) return [];
        Provided?[] found =
        [
            architectures.Find(p => keys.TryGetProperty("model_type", out var type) && type.ValueKind == JsonValueKind.String && type.ValueEquals(p.Contract.Name)),
            quantizations.TrueForAll(IsProduct) ? null : Reader(quantizations, keys),
        ];
        return [.. found.OfType<Provided>().Where(p => !IsProduct(p)).Select(p => new FolderPart(p.Plugin.Manifest.Id, p.Contract.Name, p.Contract.ResultVersion))];
    }

    private List<Provided> Those<T>() => [.. plugins.All.Where(p => p.Contract.Kind == ContractKinds.Of(typeof(T)) && p.Contract.Alias == "")];

    private static bool IsProduct(Provided provided) => provided.Plugin.Origin == PluginOrigin.Product;

    // The first that reads it, as when a job loads it.
    private Provided? Reader(List<Provided> quantizations, JsonElement keys) => keys.TryGetProperty("quantization_config", out var settings) && settings.ValueKind == JsonValueKind.Object
        ? quantizations.Find(p => plugins.Create<IQuantization>(p.QualifiedName, [], new BareContext()).Reads(settings)) : null;

    // What cannot be read is reported by the job that reads it.
    private static JsonDocument? Read(string config)
    {
        try
        {
            return File.Exists(config) ? JsonDocument.Parse(File.ReadAllBytes(config)) : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException)
        {
            return null;
        }
    }
}
