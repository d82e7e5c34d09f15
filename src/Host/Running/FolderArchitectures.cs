// Which plugin computes the model of a folder: known from config.json and plugin.json alone, so that a plan's identities tell one
// version of an architecture from another before anything is loaded.

using System.Text.Json;
using PeftAlign.Abstractions;
using PeftAlign.Core;
using PeftAlign.Plugins;

namespace PeftAlign.Host.Running;

/// <param name="root">Folder that relative paths start from.</param>
/// <param name="plugins">What jobs may load.</param>
internal sealed class FolderArchitectures(string root, IEnumerable<PluginFolder> plugins)
{
    private readonly IReadOnlyList<PluginFolder> plugins = [.. plugins];

    /// <summary>The architecture of the model at a path; null where it is built in, unknown, or no model lies there.</summary>
    internal FolderArchitecture? Of(string path)
    {
        var kind = ContractKinds.Of(typeof(IModelArchitecture));
        if (!plugins.Any(p => p.Manifest.Provides.Any(c => c.Kind == kind)) || ModelType(Path.Combine(Path.GetFullPath(path, root), "config.json")) is not { } type) return null;
        var found = plugins.SelectMany(p => p.Manifest.Provides, (plugin, contract) => (plugin, contract)).FirstOrDefault(p => p.contract.Kind == kind && p.contract.Name == type);
        return found.plugin is null ? null : new FolderArchitecture(found.plugin.Manifest.Id, type, found.contract.ResultVersion);
    }

    // What cannot be read is told by the job that reads it.
    private static string? ModelType(string config)
    {
        try
        {
            using var json = File.Exists(config) ? JsonDocument.Parse(File.ReadAllBytes(config)) : null;
            return json?.RootElement is { ValueKind: JsonValueKind.Object } keys && keys.TryGetProperty("model_type", out var type) && type.ValueKind == JsonValueKind.String ? type.GetString() : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException)
        {
            return null;
        }
    }
}
