// Makes readers by the plugin's own registration, and finds real data where they are at hand.

using PeftAlign.Abstractions;

namespace PeftAlign.Data.Tests;

internal static class Readers
{
    /// <summary>The rows of a reader.</summary>
    internal static List<DataRecord> Read<TOptions>(string name, TOptions options, string? split = null, IPluginContext? context = null) =>
        [.. Made<IDatasetReader, TOptions>(new DataPlugin(), name, options, context).Read(split)];

    /// <summary>A reader.</summary>
    internal static IDatasetReader Of<TOptions>(string name, TOptions options) => Made<IDatasetReader, TOptions>(new DataPlugin(), name, options);

    /// <summary>Anything that a plugin provides.</summary>
    internal static TContract Made<TContract, TOptions>(IPlugin plugin, string name, TOptions options, IPluginContext? context = null)
    {
        var registry = new Registry(name);
        plugin.Register(registry);
        return ((Func<IPluginContext, TOptions, TContract>)registry.Factory!)(context!, options);
    }

    /// <summary>A file of real data; the test is skipped, visibly, where it is absent.</summary>
    internal static string Shared(params string[] parts)
    {
        var above = new DirectoryInfo(AppContext.BaseDirectory);
        for (; above is not null; above = above.Parent)
            if (Directory.Exists(Path.Combine(above.FullName, "shared", "data"))) break;
        var root = Environment.GetEnvironmentVariable("PEFTALIGN_SHARED") ?? (above is null ? null : Path.Combine(above.FullName, "shared"));
        var path = root is null ? null : Path.Combine([root, "data", .. parts]);
        if (path is null || !Path.Exists(path)) Assert.Ignore($"data/{string.Join('/', parts)} is not there; set PEFTALIGN_SHARED to the folder that holds data/");
        return path!;
    }

    private sealed class Registry(string name) : IPluginRegistry
    {
        internal object? Factory { get; private set; }

        void IPluginRegistry.Add<TContract, TOptions>(string provided, int resultVersion, Func<IPluginContext, TOptions, TContract> create)
        {
            if (provided == name) Factory = create;
        }

        void IPluginRegistry.Alias<TContract>(string alias, string meaning)
        {
        }
    }
}
