// Plugins for tests: copies of the fixtures' real build output in a temporary folder, and a context to make instances with.

using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using PeftAlign.Abstractions;

namespace PeftAlign.Plugins.Tests;

/// <summary>A temporary search folder.</summary>
internal sealed class Workshop : IDisposable
{
    private static readonly string Tests = Path.GetDirectoryName(typeof(Workshop).Assembly.Location)!;

    public string Folder { get; } = Directory.CreateTempSubdirectory("peftalign-plugins-").FullName;

    public void Dispose() => Directory.Delete(Folder, recursive: true);

    /// <summary>Where a fixture was built: .build/artifacts/bin/NAME/release beside the tests' own folder.</summary>
    public static string Output(string project) => Path.GetFullPath(Path.Combine(Tests, "..", "..", project, Path.GetFileName(Tests)));

    /// <summary>The output of a fixture that has a plugin.json.</summary>
    public static string Built(string project)
    {
        var folder = Output(project);
        Assert.That(File.Exists(Path.Combine(folder, PluginManifest.FileName)), $"{folder} holds no built plugin");
        return folder;
    }

    /// <summary>Copies a fixture into the folder, under its id or another folder name.</summary>
    public string Install(string project, string? name = null) => Copy(Built(project), name ?? project.ToLowerInvariant());

    /// <summary>Copies a fixture that the generator refuses and writes the plugin.json that it would have.</summary>
    public string Place(string project, string entry, IReadOnlyList<ProvidedContract> provides)
    {
        var folder = Copy(Output(project), project.ToLowerInvariant());
        var level = EntryPoint.Read(Path.Combine(folder, entry)).ApiLevel;
        ManifestFile.Write(folder, new PluginManifest(project.ToLowerInvariant(), "1.0", level, entry, provides, ManifestBuilder.Hashes(folder)));
        return folder;
    }

    private string Copy(string source, string name)
    {
        var target = Path.Combine(Folder, name);
        foreach (var file in Directory.GetFiles(source, "*", SearchOption.AllDirectories))
        {
            var copy = Path.Combine(target, Path.GetRelativePath(source, file));
            Directory.CreateDirectory(Path.GetDirectoryName(copy)!);
            File.Copy(file, copy);
        }
        return target;
    }

    /// <summary>Rewrites a plugin.json, hashes included, as a third party's own packaging could have.</summary>
    public static void Rewrite(string folder, Func<PluginManifest, PluginManifest> change) =>
        ManifestFile.Write(folder, change(ManifestFile.Read(folder)) with { Files = ManifestBuilder.Hashes(folder) });

    public PluginCatalogue Scan() => PluginCatalogue.Scan((Folder, PluginOrigin.Product));

    public static IPluginContext Context { get; } = new BareContext();

    private sealed class BareContext : IPluginContext
    {
        public ILogger Logger => NullLogger.Instance;

        public string Folder => throw new InvalidOperationException("the catalogue gives the plugin's own folder");

        public object? GetService(Type type) => null;
    }
}
