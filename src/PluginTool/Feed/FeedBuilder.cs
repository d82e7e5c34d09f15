// The feed beside the product: a folder of NuGet packages from which third parties' plugins are restored, on machines without a
// network. Ours are made from the product's own files, under a version that holds their content; others are copied from where
// this build restored them.

using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using PeftAlign.Plugins;

namespace PeftAlign.PluginTool.Feed;

internal static class FeedBuilder
{
    /// <summary>Makes the feed.</summary>
    /// <param name="target">The feed's folder.</param>
    /// <param name="product">The folder of the published host.</param>
    /// <param name="assets">project.assets.json of a project that refers to all packages that plugins' tests need.</param>
    /// <param name="native">libpeftalign_torch.so.</param>
    /// <param name="version">The product's version.</param>
    /// <exception cref="PluginException">A file is not there.</exception>
    public static void Build(string target, string product, string assets, string native, string version)
    {
        foreach (var needed in new[] { assets, native, HostDeps(product) })
            if (!File.Exists(needed)) throw new PluginException($"{needed} is not there; the feed for plugins is made from it. Run ./peftalign doctor once.");
        Directory.CreateDirectory(target);
        List<NuGetPackage> ours = [.. Libraries(product, native), Sdk()];
        var full = $"{version}-h{ContentHash(ours)}";
        foreach (var package in ours) package.Write(target, full);
        var versions = ours.ToDictionary(package => package.Id, _ => full);
        foreach (var (id, other, file) in Restored(assets))
        {
            File.Copy(file, Path.Combine(target, Path.GetFileName(file)), overwrite: true);
            versions[id] = other;
        }
        var json = new JsonObject { ["version"] = full, ["packages"] = new JsonObject(versions.OrderBy(pair => pair.Key, StringComparer.Ordinal).Select(pair => KeyValuePair.Create(pair.Key, (JsonNode?)pair.Value))) };
        File.WriteAllText(Path.Combine(target, "feed.json"), json.ToJsonString(new() { WriteIndented = true }) + "\n");
    }

    private static string HostDeps(string product) => Path.Combine(product, "PeftAlign.Host.deps.json");

    // Every library of ours that the host has, with the dependencies that its deps.json states.
    private static IEnumerable<NuGetPackage> Libraries(string product, string native)
    {
        var target = JsonNode.Parse(File.ReadAllText(HostDeps(product)))!["targets"]!.AsObject().First().Value!.AsObject();
        foreach (var (key, library) in target)
        {
            var id = key.Split('/')[0];
            var file = Path.Combine(product, id + ".dll");
            if (!id.StartsWith("PeftAlign.", StringComparison.Ordinal) || id == "PeftAlign.Host" || !File.Exists(file)) continue;
            var package = new NuGetPackage(id, $"PeftAlign's own {id}, for plugins; of the product beside this feed.");
            package.Files[$"lib/net10.0/{id}.dll"] = file;
            if (Docs(product, id) is { } docs) package.Files[$"lib/net10.0/{id}.xml"] = docs;
            foreach (var (name, other) in library!["dependencies"]?.AsObject() ?? [])
                if (!name.EndsWith(".Reference", StringComparison.Ordinal))
                    package.Dependencies[name] = name.StartsWith("PeftAlign.", StringComparison.Ordinal) ? "" : other!.GetValue<string>();
            if (id == "PeftAlign.Torch")
            {
                package.Files["native/libpeftalign_torch.so"] = native;
                package.Files["buildTransitive/PeftAlign.Torch.targets"] = Own("Torch.targets");
            }
            yield return package;
        }
    }

    private static string? Docs(string product, string id) =>
        new[] { Path.Combine(product, id + ".xml"), Path.Combine(AppContext.BaseDirectory, id + ".xml") }.FirstOrDefault(File.Exists);

    private static NuGetPackage Sdk()
    {
        var package = new NuGetPackage("PeftAlign.Sdk", "Makes a project a PeftAlign plugin: build settings and the generator of plugin.json.");
        package.Files["build/PeftAlign.Sdk.props"] = Own("PeftAlign.Sdk.props");
        package.Files["build/PeftAlign.Sdk.targets"] = Own("PeftAlign.Sdk.targets");
        package.Files["build/Plugin.targets"] = Own("Plugin.targets");
        foreach (var file in Directory.GetFiles(AppContext.BaseDirectory).Where(file => file.EndsWith(".dll", StringComparison.Ordinal) || file.EndsWith(".json", StringComparison.Ordinal)))
            package.Files[$"tools/{Path.GetFileName(file)}"] = file;
        return package;
    }

    private static string Own(string file) => Path.Combine(AppContext.BaseDirectory, "Sdk", file);

    private static string ContentHash(IEnumerable<NuGetPackage> packages)
    {
        var text = new StringBuilder();
        foreach (var package in packages.OrderBy(package => package.Id, StringComparer.Ordinal))
        {
            foreach (var (path, file) in package.Files) text.Append($"{package.Id} {path} {PluginFolder.Sha256(file)}\n");
            foreach (var (id, version) in package.Dependencies) text.Append($"{package.Id} needs {id} {version}\n");
        }
        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text.ToString())))[..12];
    }

    private static IEnumerable<(string Id, string Version, string File)> Restored(string assets)
    {
        var json = JsonNode.Parse(File.ReadAllText(assets))!;
        var folders = json["packageFolders"]!.AsObject().Select(pair => pair.Key).ToArray();
        foreach (var (key, library) in json["libraries"]!.AsObject())
        {
            if (library!["type"]!.GetValue<string>() != "package") continue;
            var (id, version) = (key.Split('/')[0], key.Split('/')[1]);
            var name = $"{id}.{version}.nupkg".ToLowerInvariant();
            var file = folders.Select(folder => Path.Combine(folder, library["path"]!.GetValue<string>(), name)).FirstOrDefault(File.Exists)
                ?? throw new PluginException($"{name} is not where this build restored its packages ({string.Join(", ", folders)}). Delete that folder's copy of {id} and build again.");
            yield return (id, version, file);
        }
    }
}
