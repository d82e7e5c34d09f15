// The named controls of a trained policy: adapters in folders of their own inside the adapter's folder, as PEFT lays out named
// adapters (adapter/good, adapter/bad); or texts around the prompt, in controls.json beside what was trained.

using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;

namespace PeftAlign.Models.Adapters;

/// <summary>One control: a folder or a text.</summary>
/// <param name="Folder">The control's adapter folder; null where it is a text.</param>
/// <param name="Text">Null where it is an adapter.</param>
public sealed record PolicyControl(string? Folder, TextControl? Text);

/// <summary>Controls of folders.</summary>
public static class PolicyControls
{
    private const string FileName = "controls.json";

    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    /// <summary>The controls that an adapter's folder holds; empty where it is itself an adapter, or is not there.</summary>
    /// <param name="folder">The folder that a training wrote as adapter.</param>
    public static IReadOnlyDictionary<string, PolicyControl> Adapters(string folder) =>
        !Directory.Exists(folder) || IsAdapter(folder) ? new Dictionary<string, PolicyControl>()
        : Directory.GetDirectories(folder).Where(IsAdapter).Order(StringComparer.Ordinal).ToDictionary(path => Path.GetFileName(path), path => new PolicyControl(path, null));

    /// <summary>The controls in the folder's controls.json; empty where there is none.</summary>
    /// <param name="folder">A model's or an adapter's folder.</param>
    /// <exception cref="UserErrorException">The file is broken.</exception>
    public static IReadOnlyDictionary<string, PolicyControl> Texts(string folder)
    {
        var file = Path.Combine(folder, FileName);
        if (!File.Exists(file)) return new Dictionary<string, PolicyControl>();
        try
        {
            return JsonNode.Parse(File.ReadAllText(file))!.AsObject().ToDictionary(c => c.Key, c => new PolicyControl(null, new TextControl((string)c.Value!["before"]!, (string)c.Value["after"]!)));
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or NullReferenceException or ArgumentNullException or ArgumentException or FormatException)
        {
            throw new UserErrorException($"{file} is no list of controls, {{\"good\": {{\"before\": TEXT, \"after\": TEXT}}}}: {e.Message} Restore it, or delete it to use the model without controls.", e);
        }
    }

    /// <summary>Writes controls.json.</summary>
    /// <param name="folder">Where the model or the adapter is being written.</param>
    /// <param name="controls">By name.</param>
    public static void Write(string folder, IReadOnlyDictionary<string, TextControl> controls)
    {
        var json = new JsonObject();
        foreach (var (name, control) in controls) json[name] = new JsonObject { ["before"] = control.Before, ["after"] = control.After };
        AtomicFile.Write(Path.Combine(folder, FileName), json.ToJsonString(Indented) + "\n");
    }

    /// <summary>Whether this is the file of controls, which says nothing about a model trained further.</summary>
    internal static bool IsFile(string path) => Path.GetFileName(path) == FileName;

    /// <summary>The control of a name.</summary>
    /// <param name="controls">The known ones.</param>
    /// <param name="name">As the user wrote it.</param>
    /// <param name="what">What has them, for the message.</param>
    /// <exception cref="UserErrorException">There is none of this name; the known ones are named.</exception>
    public static PolicyControl Find(IReadOnlyDictionary<string, PolicyControl> controls, string name, string what) => controls.TryGetValue(name, out var found)
        ? found
        : throw new UserErrorException($"control '{name}': {what} {(controls.Count == 0 ? "has no controls; leave it out" : $"has the controls {string.Join(", ", controls.Keys)}; name one of them")}.");

    /// <summary>Refuses to go on from, or to merge, a policy whose controls would be lost.</summary>
    /// <param name="controls">The policy's.</param>
    /// <exception cref="UserErrorException">Some are adapters.</exception>
    public static void ThrowIfAdapters(IReadOnlyDictionary<string, PolicyControl> controls)
    {
        if (controls.Values.Any(c => c.Folder is not null))
            throw new UserErrorException($"The policy has the controls {string.Join(", ", controls.Keys)}, each an adapter of its own: it can be evaluated under one of them, but not trained further or merged. To go on from one control, name its folder in a manifest's method (init_adapter) over its model.");
    }

    private static bool IsAdapter(string folder) => File.Exists(Path.Combine(folder, "adapter_config.json"));
}
