// Makes readers by the plugin's own registration, and finds real data where they are at hand.

using PeftAlign.Abstractions;

namespace PeftAlign.Data.Tests;

internal static class Readers
{
    /// <summary>The rows of a reader.</summary>
    internal static List<DataRecord> Read<TOptions>(string name, TOptions options, string? split = null, IPluginContext? context = null) =>
        [.. PluginParts.Make<IDatasetReader, TOptions>(new DataPlugin(), name, options, context).Read(split)];

    /// <summary>A reader.</summary>
    internal static IDatasetReader Of<TOptions>(string name, TOptions options) => PluginParts.Make<IDatasetReader, TOptions>(new DataPlugin(), name, options);

    /// <summary>A file of real data; the test is skipped, visibly, where it is absent.</summary>
    internal static string Shared(params string[] parts) => Checkout.Reference(["data", .. parts]);
}
