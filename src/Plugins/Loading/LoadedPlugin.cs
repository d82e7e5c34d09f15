// From a folder to factories: verify, compare levels, load in a context of its own, register. Whatever goes wrong on the way is a
// PluginException that names plugin, folder and cause; the host goes on.

using System.Reflection;
using PeftAlign.Abstractions;

namespace PeftAlign.Plugins;

internal sealed class LoadedPlugin
{
    /// <summary>The oldest level of contracts that this host still serves.</summary>
    private const int OldestLevel = 2;

    private LoadedPlugin(PluginFolder folder, Assembly assembly, IReadOnlyList<Factory> factories)
    {
        Folder = folder;
        Assembly = assembly;
        Factories = factories;
    }

    public PluginFolder Folder { get; }

    public Assembly Assembly { get; }

    public IReadOnlyList<Factory> Factories { get; }

    /// <summary>Loads a plugin.</summary>
    /// <exception cref="PluginException">For whatever reason it cannot be loaded.</exception>
    public static LoadedPlugin Load(PluginFolder folder)
    {
        ThrowIfUnfit(folder);
        var loaded = LoadEntry(folder, Entry(folder));
        try
        {
            CompareWithManifest(folder, loaded.Factories);
        }
        catch (PluginException e)
        {
            throw Explain(folder, e);
        }
        return loaded;
    }

    /// <summary>Everything that can be found out without running its code: levels, hashes, references.</summary>
    /// <exception cref="PluginException">It cannot be used here.</exception>
    public static void ThrowIfUnfit(PluginFolder folder)
    {
        ThrowIfLevelDiffers(folder, folder.Manifest.ApiLevel, PluginManifest.FileName);
        folder.ThrowIfTampered();
        ThrowIfSharedInside(folder, folder.Manifest.Files.Select(file => file.Path));
        Inspect(folder, Entry(folder));
    }

    private static string Entry(PluginFolder folder) => Path.Combine(folder.Path, folder.Manifest.EntryAssembly);

    private static EntryPoint Inspect(PluginFolder folder, string entryAssembly)
    {
        if (!File.Exists(entryAssembly)) throw Fault(folder, $"its entry assembly {folder.Manifest.EntryAssembly} is not there", "Build or install the plugin again");
        var entry = EntryPoint.Read(entryAssembly);
        ThrowIfLevelDiffers(folder, entry.ApiLevel, Path.GetFileName(entryAssembly));
        ThrowIfReferencesMissing(folder, entryAssembly);
        return entry;
    }

    /// <summary>Loads what a build has just written, where no plugin.json is yet.</summary>
    public static LoadedPlugin LoadEntry(PluginFolder folder, string entryAssembly)
    {
        var entry = Inspect(folder, entryAssembly);
        var registration = new Registration();
        try
        {
            var context = new PluginLoadContext(folder.Manifest.Id, entryAssembly);
            var assembly = context.LoadFromAssemblyPath(entryAssembly);
            var type = assembly.GetType(entry.TypeName, throwOnError: true)!;
            if (Activator.CreateInstance(type) is not IPlugin plugin)
                throw Fault(folder, $"its class {entry.TypeName} does not implement {nameof(IPlugin)}", "Implement it and build again");
            plugin.Register(registration);
            return new LoadedPlugin(folder, assembly, registration.Factories);
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            throw Explain(folder, e is TargetInvocationException { InnerException: { } inner } ? inner : e);
        }
    }

    private static PluginException Explain(PluginFolder folder, Exception e) => e switch
    {
        PluginException { Message: var text } when text.StartsWith("Plugin ", StringComparison.Ordinal) => (PluginException)e,
        PluginException => Fault(folder, e.Message.TrimEnd('.'), "Mend the plugin and build again", e),
        FileNotFoundException => Fault(folder, $"a dependency is missing: {e.Message.TrimEnd('.')}", "Build the plugin again with that dependency, or install a complete copy", e),
        MissingMemberException or TypeLoadException or FileLoadException or BadImageFormatException =>
            Fault(folder, $"it does not fit this host: {e.Message.TrimEnd('.')}", "Build it again with this product's SDK", e),
        _ => Fault(folder, $"registering failed with {e.GetType().Name}: {e.Message.TrimEnd('.')}", "Ask its author, or leave the plugin out", e),
    };

    private static void ThrowIfLevelDiffers(PluginFolder folder, int level, string where)
    {
        if (level is >= OldestLevel and <= Api.Level) return;
        var served = OldestLevel == Api.Level ? $"{Api.Level}" : $"{OldestLevel} to {Api.Level}";
        throw Fault(folder, $"{where} says ApiLevel {level}, but this host serves {served}", level > Api.Level ? "Update PeftAlign, or take an older version of the plugin" : "Take a newer version of the plugin");
    }

    /// <summary>A copy of a shared assembly in the folder would be another assembly than the host's.</summary>
    public static void ThrowIfSharedInside(PluginFolder folder, IEnumerable<string> files)
    {
        if (files.Select(Path.GetFileNameWithoutExtension).FirstOrDefault(name => SharedAssemblies.Contains(name!)) is { } shared)
            throw Fault(folder, $"it ships its own {shared}.dll, which every plugin shares with the host, so its types would not be the host's", $"Refer to {shared} with ExcludeAssets=\"runtime\" and build again");
    }

    // Before any of its code runs: what the entry assembly refers to is there, and what the host lends is new enough.
    private static void ThrowIfReferencesMissing(PluginFolder folder, string entryAssembly)
    {
        foreach (var (name, version) in EntryPoint.References(entryAssembly))
        {
            if (SharedAssemblies.IsFramework(name)) continue;
            if (!SharedAssemblies.Contains(name))
            {
                if (!File.Exists(Path.Combine(folder.Path, name + ".dll")))
                    throw Fault(folder, $"a dependency is missing: {name} {version} is not in its folder", "Build the plugin again with that dependency, or install a complete copy");
            }
            else if (SharedAssemblies.Version(name) is not { } lent)
                throw Fault(folder, $"it needs the shared assembly {name}, which this host does not have", "Use it with the host it was made for");
            else if (lent < version)
                throw Fault(folder, $"it was built against {name} {version}, but this host has {lent}", "Build it against the host's version, or update PeftAlign");
        }
    }

    // Every list, check and help came from plugin.json; here it shows whether they were true.
    private static void CompareWithManifest(PluginFolder folder, IReadOnlyList<Factory> factories)
    {
        var said = folder.Manifest.Provides.Select(WithoutDocs);
        var done = factories.Select((factory, k) => WithoutDocs(AsOldAs(folder.Manifest.Provides.ElementAtOrDefault(k), ManifestBuilder.Describe(factory, XmlDocs.None))));
        foreach (var (expected, found) in said.Zip(done))
            if (expected != found)
                throw Fault(folder, $"plugin.json says {expected}, but the assembly registers {found}", "Build the plugin again, so that both say the same");
        if (folder.Manifest.Provides.Count != factories.Count)
            throw Fault(folder, $"plugin.json lists {folder.Manifest.Provides.Count} things provided, but the assembly registers {factories.Count}", "Build the plugin again, so that both say the same");
    }

    // Earlier builds left an architecture's options out of plugin.json; such a plugin still computes what it did.
    private static ProvidedContract AsOldAs(ProvidedContract? said, ProvidedContract done) =>
        said is { Kind: "architecture", Options.Options.Count: 0 } && done.Kind == said.Kind ? done with { Options = said.Options } : done;

    private static string WithoutDocs(ProvidedContract provided)
    {
        var json = ManifestFile.ToJson(provided);
        json.Remove("docs");
        foreach (var option in json["options"]!.AsArray()) option!.AsObject().Remove("docs");
        return json.ToJsonString();
    }

    private static PluginException Fault(PluginFolder folder, string what, string action, Exception? inner = null) =>
        new($"Plugin {folder.Manifest.Id} in {folder.Path} cannot be used: {what}. {action}.", inner);
}
