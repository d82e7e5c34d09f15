// Makes readers by the plugin's own registration, and finds real data where they are at hand.

using PeftAlign.Abstractions;
using PeftAlign.Tests;

namespace PeftAlign.Data.Tests;

internal static class Readers
{
    /// <summary>The rows of a reader.</summary>
    internal static List<DataRecord> Read<TOptions>(string name, TOptions options, string? split = null, IPluginContext? context = null) =>
        [.. PluginParts.Make<IDatasetReader, TOptions>(new DataPlugin(), name, options, context).Read(split)];

    /// <summary>A reader.</summary>
    internal static IDatasetReader Of<TOptions>(string name, TOptions options) => PluginParts.Make<IDatasetReader, TOptions>(new DataPlugin(), name, options);

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
}
