// Makes the contents of plugin.json from what a build has written.

using System.Reflection;
using PeftAlign.Abstractions;

namespace PeftAlign.Plugins;

internal static class ManifestBuilder
{
    /// <summary>Describes a plugin by loading it.</summary>
    /// <param name="id">The project's name in lower case.</param>
    /// <param name="version">The project's version.</param>
    /// <param name="entryAssembly">Full path inside the build's output folder.</param>
    /// <param name="docs">The compiler's XML docs; need not be there.</param>
    /// <exception cref="PluginException">It cannot be loaded, or an options class cannot be bound.</exception>
    public static PluginManifest Build(string id, string version, string entryAssembly, string docs)
    {
        var folder = Path.GetDirectoryName(entryAssembly)!;
        var level = EntryPoint.Read(entryAssembly).ApiLevel;
        var bare = new PluginManifest(id, version, level, Path.GetFileName(entryAssembly), [], []);
        var loaded = LoadedPlugin.LoadEntry(new PluginFolder(folder, bare, PluginOrigin.Development), entryAssembly);
        LoadedPlugin.ThrowIfSharedInside(loaded.Folder, PluginFolder.FilesOf(folder));
        if (loaded.Factories.Count == 0) throw new PluginException($"Plugin {id} registers nothing; add a factory in Register.");
        var summaries = XmlDocs.Read(docs);
        return bare with
        {
            Provides = [.. loaded.Factories.Select(factory => Describe(factory, factory.OptionsType.Assembly == loaded.Assembly ? summaries : XmlDocs.Beside(factory.OptionsType.Assembly)))],
            Files = Hashes(folder),
        };
    }

    /// <summary>Every file of a folder with its hash.</summary>
    public static IReadOnlyList<PluginFile> Hashes(string folder) =>
        [.. PluginFolder.FilesOf(folder).Select(file => new PluginFile(file, PluginFolder.Sha256(Path.Combine(folder, file))))];

    /// <summary>What a factory provides, with docs where they are given.</summary>
    public static ProvidedContract Describe(Factory factory, XmlDocs docs)
    {
        var traits = factory.OptionsType.GetCustomAttribute<ContractTraitsAttribute>();
        var provided = new ProvidedContract(factory.Kind, factory.Name, factory.ResultVersion, factory.Kind == ContractKinds.Of(typeof(IModelArchitecture)) ? InitSchema.Of(factory) : ClassSchema.Read(factory.OptionsType, docs), docs.Summary(factory.OptionsType))
        {
            Alias = factory.Alias,
            Inputs = traits?.Inputs ?? "",
            Traits = traits?.Traits ?? [],
        };
        HostKeys.ThrowIfTaken(provided);
        return provided;
    }
}
