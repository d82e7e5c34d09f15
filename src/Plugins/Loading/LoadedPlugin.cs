// From a folder to factories: verify, compare levels, load in a context of its own, register. Whatever goes wrong on the way is a
// PluginException that names plugin, folder and cause; the host goes on.

using System.Reflection;
using PeftAlign.Abstractions;

namespace PeftAlign.Plugins;

internal sealed class LoadedPlugin
{
    /// <summary>The oldest level of contracts that this host still serves.</summary>
    private const int OldestLevel = 0;

    private LoadedPlugin(PluginManifest manifest, Assembly assembly, IReadOnlyList<Factory> factories)
    {
        Manifest = manifest;
        Assembly = assembly;
        Factories = factories;
    }

    public PluginManifest Manifest { get; }

    public Assembly Assembly { get; }

    public IReadOnlyList<Factory> Factories { get; }

    /// <summary>Loads a plugin.</summary>
    /// <exception cref="PluginException">For whatever reason it cannot be loaded.</exception>
    public static LoadedPlugin Load(PluginFolder folder)
    {
        var manifest = folder.Manifest;
        ThrowIfLevelDiffers(folder, manifest.ApiLevel, PluginManifest.FileName);
        folder.ThrowIfTampered();
        if (manifest.Files.Select(file => Path.GetFileNameWithoutExtension(file.Path)).FirstOrDefault(SharedAssemblies.Contains) is { } shared)
            throw Fault(folder, $"it ships its own {shared}.dll, which every plugin shares with the host, so its types would not be the host's", $"Refer to {shared} with ExcludeAssets=\"runtime\" and build again");
        var loaded = LoadEntry(folder, Path.Combine(folder.Path, manifest.EntryAssembly));
        CompareWithManifest(folder, loaded.Factories);
        return loaded;
    }

    /// <summary>Loads what a build has just written, where no plugin.json is yet.</summary>
    public static LoadedPlugin LoadEntry(PluginFolder folder, string entryAssembly)
    {
        if (!File.Exists(entryAssembly)) throw Fault(folder, $"its entry assembly {folder.Manifest.EntryAssembly} is not there", "Build or install the plugin again");
        var entry = EntryPoint.Read(entryAssembly);
        ThrowIfLevelDiffers(folder, entry.ApiLevel, Path.GetFileName(entryAssembly));
        var registration = new Registration();
        try
        {
            var context = new PluginLoadContext(folder.Manifest.Id, entryAssembly);
            var assembly = context.LoadFromAssemblyPath(entryAssembly);
            var type = assembly.GetType(entry.TypeName, throwOnError: true)!;
            if (Activator.CreateInstance(type) is not IPlugin plugin)
                throw Fault(folder, $"its class {entry.TypeName} does not implement {nameof(IPlugin)}", "Implement it and build again");
            plugin.Register(registration);
            return new LoadedPlugin(folder.Manifest, assembly, registration.Factories);
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

    private static void CompareWithManifest(PluginFolder folder, IReadOnlyList<Factory> factories)
    {
        var said = folder.Manifest.Provides.Select(provided => $"{provided.Kind} {provided.Name} (resultVersion {provided.ResultVersion})");
        var done = factories.Select(factory => $"{factory.Kind} {factory.Name} (resultVersion {factory.ResultVersion})");
        if (!said.SequenceEqual(done))
            throw Fault(folder, $"plugin.json lists {string.Join(", ", said)}, but the assembly registers {string.Join(", ", done)}", "Build the plugin again, so that both say the same");
    }

    private static PluginException Fault(PluginFolder folder, string what, string action, Exception? inner = null) =>
        new($"Plugin {folder.Manifest.Id} in {folder.Path} cannot be used: {what}. {action}.", inner);
}
