// The lock beside a manifest, NAME.lock.json: which plugins its results come from. The product's own are pinned by the product's
// version, others by the SHA-256 of their plugin.json, which holds every file's. Development folders are never locked.

using System.Text.Json;
using System.Text.Json.Nodes;

namespace PeftAlign.Plugins;

/// <summary>Keeps a manifest's plugins as they were.</summary>
public static class PluginLock
{
    /// <summary>The lock's file: beside the manifest.</summary>
    /// <param name="manifest">deep-dive.yaml has deep-dive.lock.json.</param>
    public static string FileOf(string manifest) => Path.ChangeExtension(Path.GetFullPath(manifest), ".lock.json");

    /// <summary>Compares the plugins with the lock and writes it where it is missing, has fewer plugins, or is to be updated.</summary>
    /// <param name="manifest">The manifest's file.</param>
    /// <param name="outFolder">Takes the lock where the manifest's folder cannot be written.</param>
    /// <param name="plugins">The plugins of the manifest.</param>
    /// <param name="productVersion">The product's version.</param>
    /// <param name="update">Whether what differs is taken over instead of being refused (--update-lock).</param>
    /// <param name="keep">Whether locked plugins that are not among these stay: where not all of the manifest's are known.</param>
    /// <returns>The lock's file.</returns>
    /// <exception cref="PluginException">A locked plugin is another one now; every difference is a line.</exception>
    public static string Apply(string manifest, string outFolder, IEnumerable<PluginFolder> plugins, string productVersion, bool update, bool keep = false)
    {
        var wanted = plugins.Where(plugin => plugin.Origin != PluginOrigin.Development).Select(plugin => Entry(plugin, productVersion)).OrderBy(entry => entry.Id, StringComparer.Ordinal).ToArray();
        string[] places = [FileOf(manifest), Path.Combine(outFolder, Path.GetFileName(FileOf(manifest)))];
        var file = places.FirstOrDefault(File.Exists);
        var locked = file is null ? [] : Read(file);
        var changed = wanted.Where(entry => locked.Any(old => old.Id == entry.Id && old != entry)).ToArray();
        if (changed.Length > 0 && !update)
            throw new PluginException($"{file}: {string.Join("; ", changed.Select(entry => $"plugin {entry.Id} is locked to {locked.First(old => old.Id == entry.Id)}, but found is {entry}"))}. Install what is locked, or give --update-lock to take what is found.");
        if (keep) wanted = [.. wanted.Concat(locked.ExceptBy(wanted.Select(entry => entry.Id), old => old.Id)).OrderBy(entry => entry.Id, StringComparer.Ordinal)];
        if (file is not null && locked.SequenceEqual(wanted)) return file;
        return Write(file is null ? places : [file, places[1]], wanted);
    }

    private sealed record Locked(string Id, string Version, string Sha256)
    {
        public override string ToString() => Sha256 == "" ? $"{Version} of the product" : $"{Version} (sha256 {Sha256[..12]})";
    }

    private static Locked Entry(PluginFolder plugin, string productVersion) =>
        plugin.Origin == PluginOrigin.Product
            ? new Locked(plugin.Manifest.Id, productVersion, "")
            : new Locked(plugin.Manifest.Id, plugin.Manifest.Version, PluginFolder.Sha256(Path.Combine(plugin.Path, PluginManifest.FileName)));

    private static Locked[] Read(string file)
    {
        try
        {
            var json = JsonNode.Parse(File.ReadAllText(file))!["plugins"]!.AsArray();
            return [.. json.Select(item => new Locked(item!["id"]!.GetValue<string>(), item["version"]!.GetValue<string>(), item["sha256"]?.GetValue<string>() ?? ""))];
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or NullReferenceException)
        {
            throw new PluginException($"{file}: is no lock file that can be read. Delete it to lock what is found now.", e);
        }
    }

    private static string Write(string[] places, Locked[] entries)
    {
        var items = entries.Select(entry => entry.Sha256 == ""
            ? new JsonObject { ["id"] = entry.Id, ["version"] = entry.Version, ["source"] = "product" }
            : new JsonObject { ["id"] = entry.Id, ["version"] = entry.Version, ["sha256"] = entry.Sha256 });
        var text = new JsonObject { ["plugins"] = new JsonArray([.. items]) }.ToJsonString(new JsonSerializerOptions { WriteIndented = true }) + "\n";
        var file = TryWrite(places[0], text) ? places[0] : places[^1];
        if (file != places[0])
        {
            Directory.CreateDirectory(Path.GetDirectoryName(file)!);
            if (!TryWrite(file, text)) throw new PluginException($"{file}: the lock cannot be written, neither there nor at {places[0]}. Make one of the folders writable.");
        }
        return file;
    }

    private static bool TryWrite(string file, string text)
    {
        try
        {
            AtomicFile.Write(file, text);
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }
}
