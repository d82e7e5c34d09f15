// A plugin on disk: its plugin.json, and whether its files are the ones that were built.

using System.Security.Cryptography;
using System.Text.Json.Nodes;

namespace PeftAlign.Plugins;

/// <summary>Where a plugin was found; third parties' code runs only where a manifest or a flag names it.</summary>
public enum PluginOrigin
{
    /// <summary>In the product's own folder.</summary>
    Product,

    /// <summary>In a folder of the search path.</summary>
    Installed,

    /// <summary>A built folder that a manifest names by its path; may change at any time and is never locked.</summary>
    Development,

    /// <summary>A .peftplugin file that a manifest names.</summary>
    File,
}

/// <summary>A folder with a plugin.json.</summary>
/// <param name="Path">Full path.</param>
/// <param name="Manifest">Its plugin.json.</param>
/// <param name="Origin">How it was found.</param>
public sealed record PluginFolder(string Path, PluginManifest Manifest, PluginOrigin Origin)
{
    /// <summary>Reads plugin.json; loads no assembly.</summary>
    /// <param name="path">The folder.</param>
    /// <param name="origin">How it was found.</param>
    /// <exception cref="PluginException">No or a broken plugin.json, or an option that no manifest could give.</exception>
    public static PluginFolder Open(string path, PluginOrigin origin)
    {
        var full = System.IO.Path.GetFullPath(path);
        var manifest = ManifestFile.Read(full);
        try
        {
            foreach (var provided in manifest.Provides) HostKeys.ThrowIfTaken(provided);
        }
        catch (PluginException e)
        {
            throw new PluginException($"Plugin {manifest.Id} in {full} cannot be used: {e.Message}", e);
        }
        return new PluginFolder(full, manifest, origin);
    }

    /// <summary>Compares every file with its SHA-256 in plugin.json.</summary>
    /// <returns>One sentence for each file that is changed, missing or superfluous; empty where all is as built.</returns>
    public IReadOnlyList<string> Verify()
    {
        var listed = Manifest.Files.ToDictionary(file => file.Path, file => file.Sha256);
        var there = FilesOf(Path);
        var faults = new List<string>();
        foreach (var (file, sha256) in listed.OrderBy(pair => pair.Key, StringComparer.Ordinal))
            if (!there.Contains(file)) faults.Add($"file '{file}' is missing");
            else if (Sha256(System.IO.Path.Combine(Path, file)) != sha256) faults.Add($"file '{file}' is not the one that was built (its SHA-256 differs)");
        faults.AddRange(there.Where(file => !listed.ContainsKey(file)).Select(file => $"file '{file}' does not belong to the plugin (plugin.json does not list it)"));
        return faults;
    }

    /// <summary>Throws if <see cref="Verify"/> finds a fault.</summary>
    /// <exception cref="PluginException">Names the plugin, its folder and each file.</exception>
    public void ThrowIfTampered()
    {
        if (Verify() is { Count: > 0 } faults)
            throw new PluginException($"Plugin {Manifest.Id} in {Path}: {string.Join("; ", faults)}. Install or build the plugin again; nothing of it was loaded.");
    }

    /// <summary>plugin.json as it was read.</summary>
    public JsonObject Json() => ManifestFile.ToJson(Manifest);

    /// <summary>Every file except plugin.json, relative, with forward slashes, in ordinal order.</summary>
    internal static IReadOnlyList<string> FilesOf(string folder) =>
        [.. Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories)
            .Select(file => System.IO.Path.GetRelativePath(folder, file).Replace('\\', '/'))
            .Where(file => file != PluginManifest.FileName)
            .Order(StringComparer.Ordinal)];

    internal static string Sha256(string file)
    {
        using var stream = File.OpenRead(file);
        return Convert.ToHexStringLower(SHA256.HashData(stream));
    }
}
