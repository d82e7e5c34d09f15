// The search path: the product's own plugins, then the folders of --plugins, then those of PEFTALIGN_PLUGINS; and what a manifest
// adds by path or by file.

namespace PeftAlign.Plugins;

/// <summary>Where plugins are looked for.</summary>
/// <param name="ProductFolder">The product's own, "plugins" beside the host.</param>
/// <param name="Folders">Further folders of plugins, in order.</param>
public sealed record PluginSearch(string ProductFolder, IReadOnlyList<string> Folders)
{
    /// <summary>The variable that holds folders, separated as in PATH.</summary>
    public const string Variable = "PEFTALIGN_PLUGINS";

    /// <summary>The search path of a command.</summary>
    /// <param name="hostFolder">The host's folder.</param>
    /// <param name="flags">The folders of --plugins.</param>
    /// <exception cref="PluginException">A folder of --plugins or of the variable is not there, or is a plugin instead of holding some.</exception>
    public static PluginSearch Of(string hostFolder, IReadOnlyList<string> flags)
    {
        var variable = (Environment.GetEnvironmentVariable(Variable) ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries);
        foreach (var (folder, where) in flags.Select(folder => (folder, "--plugins")).Concat(variable.Select(folder => (folder, Variable))))
        {
            if (!Directory.Exists(folder)) throw new PluginException($"{where} {folder}: there is no such folder. Name a folder that holds plugins, each in a folder of its own.");
            if (File.Exists(Path.Combine(folder, PluginManifest.FileName)))
                throw new PluginException($"{where} {folder}: is one plugin's own folder. Name the folder that it lies in ({Path.GetDirectoryName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder)))}).");
        }
        return new PluginSearch(Path.Combine(hostFolder, "plugins"), [.. flags, .. variable]);
    }

    /// <summary>Everything on the search path; loads nothing.</summary>
    public PluginCatalogue Scan() => PluginCatalogue.Scan(Folders.Distinct().Select(folder => (folder, PluginOrigin.Installed)).Prepend((ProductFolder, PluginOrigin.Product)));

    /// <summary>Where files that manifests name are unpacked: XDG_CACHE_HOME, else ~/.cache, else the temporary folder.</summary>
    public static string CacheFolder() => Path.Combine(UserCache.Folder() ?? Path.GetTempPath(), "peftalign", "plugins");
}
