// What the tests share: the strategies, loaded as plugins; the golden folder; whole merges in a temporary folder.

using System.Runtime.CompilerServices;
using System.Text.Json;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using PeftAlign.Abstractions;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Plugins;
using PeftAlign.Torch;

namespace PeftAlign.Merging.Tests;

internal static class Workshop
{
    private static readonly Lazy<PluginCatalogue> Catalogue = new(() =>
    {
        var built = Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "..", ".."));
        string[] names = ["Merge.Dare", "Merge.Slerp", "Merge.Linear", "Merge.Select"];
        return new PluginCatalogue(names.Select(name => PluginFolder.Open(Path.Combine(built, name, "release"), PluginOrigin.Product)), []);
    });

    public static PluginCatalogue Plugins => Catalogue.Value;

    public static StrategyFinder Strategies { get; } = new(Catalogue.Value, new Nothing());

    /// <summary>A path of golden/merges; the test is skipped, visibly, where that is absent.</summary>
    public static string Golden(params string[] parts)
    {
        var path = Root is { } root ? Path.Combine([root, "golden", "merges", .. parts]) : null;
        if (path is null || !Path.Exists(path)) Assert.Ignore($"golden/merges/{string.Join('/', parts)} is not there; set PEFTALIGN_SHARED to the folder that holds golden/");
        return path!;
    }

    public static JsonElement Json(string file) => JsonDocument.Parse(File.ReadAllText(file)).RootElement;

    /// <summary>A fresh folder; it is removed after the tests.</summary>
    public static string Scratch([CallerMemberName] string name = "") =>
        Directory.CreateDirectory(Path.Combine(Cleanup.Root, $"{name}-{Guid.NewGuid():N}")).FullName;

    public static MergePlan Plan(string yaml, string root) =>
        Merger.Plan(File.ReadAllText(yaml), Path.GetFileName(yaml), Strategies.Find, path => Path.GetFullPath(path, root));

    /// <summary>Merges a file and returns the folder of the result.</summary>
    public static string Merge(string yaml, string root, MergeOptions? options = null)
    {
        var folder = Path.Combine(Scratch("merge"), "out");
        using var plan = Plan(yaml, root);
        new MergeRunner(plan, options ?? new MergeOptions()).Write(folder);
        return folder;
    }

    public static Dictionary<string, Tensor> Tensors(string file)
    {
        using var checkpoint = CheckpointFolder.Open(file);
        return checkpoint.Names.ToDictionary(name => name, checkpoint.Tensor);
    }

    // The whole set where it is, else the part of it that lies beside these tests.
    private static string? Root { get; } = new[] { Checkout.Shared, Path.Combine(Checkout.Root, "tests", "Merging.Tests", "Fixtures") }.FirstOrDefault(f => f is not null && Directory.Exists(Path.Combine(f, "golden", "merges")));

    private sealed class Nothing : IPluginContext
    {
        public ILogger Logger => NullLogger.Instance;

        public string Folder => "";

        public object? GetService(Type type) => null;
    }
}

/// <summary>Settles the threads and removes the scratch folders.</summary>
[SetUpFixture]
internal sealed class Cleanup
{
    public static string Root { get; } = Path.Combine(Path.GetTempPath(), $"peftalign-merging-{Environment.ProcessId}");

    [OneTimeSetUp]
    public void Settle() => torch.set_num_threads(1);

    [OneTimeTearDown]
    public void Remove()
    {
        if (Directory.Exists(Root)) Directory.Delete(Root, recursive: true);
    }
}
