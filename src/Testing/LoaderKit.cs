// What every plugin must do, whatever it provides: be whole, load in a context of its own, and describe options that bind.

using PeftAlign.Plugins;

namespace PeftAlign.Testing;

internal static class LoaderKit
{
    public static IEnumerable<ConformanceCheck> Checks(PluginFolder plugin)
    {
        yield return new("plugin: every file is as built", () => Expect.That(plugin.Verify() is [], $"{plugin.Path}: {string.Join("; ", plugin.Verify())}"));
        yield return new("plugin: loads and registers what plugin.json says", () => Loads(plugin));
        foreach (var provided in plugin.Manifest.Provides)
        {
            yield return new($"{provided.Kind} {provided.Name}: its defaults keep its own limits", () => DefaultsAreAllowed(provided));
            yield return new($"{provided.Kind} {provided.Name}: every option has docs", () => OptionsHaveDocs(provided));
        }
    }

    private static void Loads(PluginFolder plugin)
    {
        try
        {
            new PluginCatalogue([plugin], []).Require(plugin);
        }
        catch (PluginException e)
        {
            throw new ConformanceException(e.Message, e);
        }
    }

    private static void DefaultsAreAllowed(ProvidedContract provided)
    {
        // null stands for "not given", whatever the type.
        var defaults = provided.Options.Options.Where(option => option.Default is not null && option.OnlyWith == "");
        var optional = new OptionsSchema([.. provided.Options.Options.Select(option => option with { Required = false })]);
        var faults = optional.Check(new(defaults.Select(option => KeyValuePair.Create(option.Name, option.Default?.DeepClone()))));
        Expect.That(faults is [], $"A default that its own limits forbid: {string.Join(" ", faults.Select(fault => fault.Message))}");
    }

    private static void OptionsHaveDocs(ProvidedContract provided)
    {
        var silent = provided.Options.Options.Where(option => option.Docs == "").Select(option => option.Name).ToArray();
        Expect.That(silent is [], $"Options without a summary, which --help would show: {string.Join(", ", silent)}. Write /// <summary> on the property.");
    }
}
