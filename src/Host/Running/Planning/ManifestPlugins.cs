// The plugins of one manifest: those of the search path, and those that it names by path or file; and the lock that keeps them.

using PeftAlign.Core;
using PeftAlign.Plugins;

namespace PeftAlign.Host.Running;

/// <param name="Known">What the manifest may name.</param>
/// <param name="Failures">What was found and cannot be used; said where the manifest turns out to need it.</param>
/// <param name="HasSection">Whether the manifest says which plugins are known.</param>
internal sealed record ManifestPlugins(IReadOnlyList<KnownPlugin> Known, IReadOnlyList<PluginFailure> Failures, bool HasSection)
{
    /// <summary>Finds them; loads nothing.</summary>
    /// <param name="requests">The manifest's section.</param>
    /// <param name="root">The manifest's folder, to which its paths are relative.</param>
    /// <param name="folders">The folders of --plugins.</param>
    /// <param name="manifest">The manifest's file, for messages.</param>
    /// <exception cref="PluginException">A path or file of the section is no plugin; every such entry is a line.</exception>
    public static ManifestPlugins Find(PluginRequests requests, string root, IReadOnlyList<string> folders, string manifest)
    {
        var scanned = PluginSearch.Of(AppContext.BaseDirectory, folders).Scan();
        var named = new List<KnownPlugin>();
        var faults = new List<string>();
        foreach (var request in requests.Requests.Where(request => request.Path.Length > 0 || request.File.Length > 0))
            try
            {
                named.Add(request.Path.Length > 0
                    ? new KnownPlugin(PluginFolder.Open(Path.GetFullPath(request.Path, root), PluginOrigin.Development), request.Path)
                    : new KnownPlugin(PluginArchive.Open(Path.GetFullPath(request.File, root), PluginSearch.CacheFolder()), request.File));
            }
            catch (PluginException e)
            {
                faults.Add($"{manifest}:{request.Line}:{request.Column}: {e.Message}");
            }
        if (faults.Count > 0) throw new PluginException(string.Join(Environment.NewLine, faults));
        // What a manifest names itself goes before an installed plugin of the same id.
        return new ManifestPlugins([.. named, .. scanned.Plugins.Select(plugin => new KnownPlugin(plugin, ""))], scanned.Failures, requests.HasSection);
    }

    /// <summary>The plugins by id.</summary>
    public IReadOnlyDictionary<string, PluginFolder> ById => First.ToDictionary(plugin => plugin.Manifest.Id);

    /// <summary>Compares the plugins that the plan needs with this host, with their own files and with the manifest's lock, before a job starts.</summary>
    /// <param name="manifest">Its file.</param>
    /// <param name="outFolder">The run's folder.</param>
    /// <param name="plan">What needs them.</param>
    /// <param name="update">Whether what differs is taken over.</param>
    /// <param name="isWhole">Whether all of the plan's paths are there: of a model that is away it is not known which plugin computes it.</param>
    /// <exception cref="PluginException">One is not what was built or locked.</exception>
    public void Lock(string manifest, string outFolder, Plan plan, bool update, bool isWhole)
    {
        var needed = plan.Jobs.SelectMany(job => job.Plugins).Concat(plan.Trackers.Select(tracker => tracker.Plugin)).ToHashSet();
        var plugins = First.Where(plugin => needed.Contains(plugin.Manifest.Id)).ToArray();
        foreach (var plugin in plugins) LoadedPlugin.ThrowIfUnfit(plugin);
        // A manifest without the section asks for whatever the product has; it must go on working with the next version.
        if (!HasSection && First.All(plugin => plugin.Origin == PluginOrigin.Product) && !File.Exists(PluginLock.FileOf(manifest))) return;
        PluginLock.Apply(manifest, outFolder, plugins, CommandLine.TopHelp.Version, update, keep: !isWhole);
    }

    private IEnumerable<PluginFolder> First => Known.Select(plugin => plugin.Folder).DistinctBy(plugin => plugin.Manifest.Id);
}
