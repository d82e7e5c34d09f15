// The feed of packages beside the host, as feed.json lists it.

using System.Text.Json.Nodes;

namespace PeftAlign.Host.Commands.Plugins;

/// <summary>A feed.</summary>
/// <param name="Folder">Its full path.</param>
/// <param name="Packages">Version by package id, in order of ids.</param>
internal sealed record Feed(string Folder, IReadOnlyList<KeyValuePair<string, string>> Packages)
{
    /// <summary>The feed of this product.</summary>
    /// <exception cref="UserError">There is none.</exception>
    public static Feed BesideHost() => Open(Path.Combine(AppContext.BaseDirectory, "feed"));

    public static Feed Open(string folder)
    {
        var file = Path.Combine(folder, "feed.json");
        if (!File.Exists(file)) throw new UserError(folder, "no packages for plugins there", "run ./peftalign from its source folder once: set-up makes them");
        var packages = JsonNode.Parse(File.ReadAllText(file))!["packages"]!.AsObject();
        return new Feed(Path.GetFullPath(folder), [.. packages.Select(pair => KeyValuePair.Create(pair.Key, pair.Value!.GetValue<string>()))]);
    }

    /// <summary>The lines of Directory.Packages.props, exact versions.</summary>
    public string Lines() => string.Join('\n', Packages.Select(pair => $"    <PackageVersion Include=\"{pair.Key}\" Version=\"[{pair.Value}]\" />"));
}
