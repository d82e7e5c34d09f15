// The conformance kits' frame: a plugin's folder gives a list of checks, each a name and an action. `dotnet test` of a plugin's own
// tests and `peftalign plugins test` run the same list. Needs no test framework.

using System.Reflection;
using PeftAlign.Plugins;

namespace PeftAlign.Testing;

/// <summary>One thing that a plugin must do.</summary>
/// <param name="Name">For instance "reader my-rows: names the broken row".</param>
/// <param name="Run">Returns if it does; throws <see cref="ConformanceException"/> otherwise.</param>
public sealed record ConformanceCheck(string Name, Action Run)
{
    /// <summary>The name, which test runners show.</summary>
    public override string ToString() => Name;
}

/// <summary>A plugin does not do what its contract says.</summary>
/// <param name="message">What was expected, what happened, and which rule it is.</param>
/// <param name="inner">What was thrown, if that was the fault.</param>
public sealed class ConformanceException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>The checks of a plugin.</summary>
public static class Conformance
{
    /// <summary>Every check of everything that a built or installed plugin provides.</summary>
    /// <param name="folder">A folder with a plugin.json.</param>
    /// <exception cref="PluginException">It has none that can be read.</exception>
    public static IReadOnlyList<ConformanceCheck> Checks(string folder)
    {
        var plugin = PluginFolder.Open(folder, PluginOrigin.Development);
        var subject = new Subject(plugin);
        var checks = LoaderKit.Checks(plugin).Concat(plugin.Manifest.Provides.Where(provided => provided.Alias == "").SelectMany(provided => Kit(subject, provided)));
        return [.. checks.Select(check => check with { Run = () => Guard(check.Run) })];
    }

    // Whatever a plugin throws where nothing should be thrown is a failure of that check.
    private static void Guard(Action run)
    {
        try
        {
            run();
        }
        catch (Exception e) when (e is not (ConformanceException or OutOfMemoryException))
        {
            throw new ConformanceException($"{e.GetType().Name}: {e.Message}", e);
        }
    }

    /// <summary>The checks of the plugin that a test project names in its metadata (PluginFolder), as `plugins new` writes it.</summary>
    /// <param name="tests">The test assembly.</param>
    public static IReadOnlyList<ConformanceCheck> Checks(Assembly tests)
    {
        var folder = tests.GetCustomAttributes<AssemblyMetadataAttribute>().FirstOrDefault(attribute => attribute.Key == "PluginFolder")?.Value
            ?? throw new ConformanceException($"{tests.GetName().Name} does not say where its plugin is built; put <AssemblyMetadata Include=\"PluginFolder\" Value=\"...\"/> into its project.");
        return Checks(folder);
    }

    // A kind gets its line here with the issue that builds its engine.
    private static IEnumerable<ConformanceCheck> Kit(Subject subject, ProvidedContract provided) => provided.Kind switch
    {
        "reader" => ReaderKit.Checks(subject, provided),
        "method" => MethodKit.Checks(subject, provided),
        "adapter" => AdapterKit.Checks(subject, provided),
        "merge" => MergeKit.Checks(subject, provided),
        "benchmark" => BenchmarkKit.Checks(subject, provided),
        "judge" => JudgeKit.Checks(subject, provided),
        "tracker" => TrackerKit.Checks(subject, provided),
        "architecture" => ArchitectureKit.Checks(subject, provided),
        "quantization" => QuantizationKit.Checks(subject, provided),
        _ => [],
    };
}
