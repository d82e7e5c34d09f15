// Every plugin that a run may use: found without loading anything, loaded when something of it is first created.

using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using PeftAlign.Abstractions;

namespace PeftAlign.Plugins;

/// <summary>Something provided, and by whom.</summary>
/// <param name="Plugin">The plugin.</param>
/// <param name="Contract">What it provides.</param>
public sealed record Provided(PluginFolder Plugin, ProvidedContract Contract)
{
    /// <summary>The name that is never ambiguous: "methods.dpo/dpo".</summary>
    public string QualifiedName => $"{Plugin.Manifest.Id}/{Contract.Name}";
}

/// <summary>A folder that should be a plugin and cannot be used.</summary>
/// <param name="Path">Its full path.</param>
/// <param name="Message">Why, and what to do.</param>
public sealed record PluginFailure(string Path, string Message);

/// <summary>The plugins that are known. Use from one thread.</summary>
public sealed class PluginCatalogue
{
    private readonly Dictionary<string, LoadedPlugin> loaded = [];

    /// <summary>A catalogue of given plugins.</summary>
    /// <param name="plugins">In the order of the search path; of two with one id the first is used, the second a failure.</param>
    /// <param name="failures">Folders that could not be read.</param>
    public PluginCatalogue(IEnumerable<PluginFolder> plugins, IEnumerable<PluginFailure> failures)
    {
        var known = new List<PluginFolder>();
        var broken = new List<PluginFailure>(failures);
        foreach (var plugin in plugins)
            if (known.Find(other => other.Manifest.Id == plugin.Manifest.Id) is { } first)
                broken.Add(new PluginFailure(plugin.Path, $"Plugin {plugin.Manifest.Id} in {plugin.Path} is not used: {first.Path} has the same id and comes first in the search path (product, then --plugins, then PEFTALIGN_PLUGINS). Remove one of them."));
            else
                known.Add(plugin);
        Plugins = known;
        Failures = broken;
    }

    /// <summary>The plugins, in the order of the search path.</summary>
    public IReadOnlyList<PluginFolder> Plugins { get; }

    /// <summary>What was found and cannot be used; matters only where a run needs it.</summary>
    public IReadOnlyList<PluginFailure> Failures { get; }

    /// <summary>Everything provided, in the order of plugins.</summary>
    public IEnumerable<Provided> All => Plugins.SelectMany(plugin => plugin.Manifest.Provides, (plugin, contract) => new Provided(plugin, contract));

    /// <summary>Reads the plugin.json of every folder inside the search folders; loads no assembly.</summary>
    /// <param name="search">Folders in order; one that is not there holds no plugins.</param>
    public static PluginCatalogue Scan(params IEnumerable<(string Folder, PluginOrigin Origin)> search)
    {
        var plugins = new List<PluginFolder>();
        var failures = new List<PluginFailure>();
        foreach (var (folder, origin) in search.Where(place => Directory.Exists(place.Folder)))
            foreach (var path in Directory.GetDirectories(Path.GetFullPath(folder)).Where(path => !Path.GetFileName(path).StartsWith('.')).Order(StringComparer.Ordinal))
                try
                {
                    plugins.Add(PluginFolder.Open(path, origin));
                }
                catch (PluginException e)
                {
                    failures.Add(new PluginFailure(path, e.Message));
                }
        return new PluginCatalogue(plugins, failures);
    }

    /// <summary>What a name means. Loads nothing.</summary>
    /// <param name="kind">A word of <see cref="ContractKinds"/>.</param>
    /// <param name="name">"dpo", or "methods.dpo/dpo" where several plugins provide the name.</param>
    /// <exception cref="PluginException">Unknown (the nearest name, and the plugins that cannot be used, are said) or ambiguous.</exception>
    public Provided Find(string kind, string name)
    {
        var ofKind = All.Where(provided => provided.Contract.Kind == kind).ToArray();
        var found = ofKind.Where(provided => name.Contains('/') ? provided.QualifiedName == name : provided.Contract.Name == name).ToArray();
        if (found.Length == 1) return found[0];
        if (found.Length > 1)
            throw new PluginException($"The {kind} '{name}' is provided by several plugins: {string.Join(" and ", found.Select(provided => $"{provided.QualifiedName} in {provided.Plugin.Path}"))}. Write {string.Join(" or ", found.Select(provided => provided.QualifiedName))}.");
        string[] names = [.. ofKind.Select(provided => name.Contains('/') ? provided.QualifiedName : provided.Contract.Name)];
        var failed = Failures.Count == 0 ? "" : $" {Failures.Count} plugin(s) cannot be used: {string.Join(" ", Failures.Select(failure => failure.Message))}";
        var hint = names.Length == 0 ? $" No known plugin provides a {kind}." : Suggestions.Hint(name, names);
        throw new PluginException($"There is no {kind} '{name}' among the known plugins.{hint}{failed}");
    }

    /// <summary>Makes an instance; loads its plugin if that has not happened yet.</summary>
    /// <typeparam name="TContract">A contract; its kind is the one of <see cref="ContractKinds"/>.</typeparam>
    /// <param name="name">As for <see cref="Find"/>.</param>
    /// <param name="options">Keys as the user wrote them.</param>
    /// <param name="context">What the host lends; its Folder is replaced by the plugin's.</param>
    /// <exception cref="PluginException">The name is unknown, the plugin cannot be loaded, options have faults, or its factory fails.</exception>
    /// <exception cref="UserErrorException">The options name a judge that does not fit.</exception>
    public TContract Create<TContract>(string name, JsonObject options, IPluginContext context)
        where TContract : class
    {
        var kind = ContractKinds.Of(typeof(TContract)) ?? throw new ArgumentException($"{typeof(TContract)} is no contract.", nameof(TContract));
        var provided = Find(kind, name);
        var what = $"{kind} {provided.Contract.Name}";
        OptionFaults.ThrowIfAny(what, provided.Contract.Options.Check(options));
        if (UnfitJudge(provided.Contract, options) is { } unfit) throw new UserErrorException(unfit);
        var factory = Load(provided.Plugin).Factories.First(factory => factory.Kind == kind && factory.Name == provided.Contract.Name);
        var bound = provided.Contract.Options.Bind(factory.OptionsType, options, what, JudgeTraitsOf);
        try
        {
            return (TContract?)factory.Create(new FolderContext(context, provided.Plugin.Path), bound) ?? throw new InvalidOperationException("the factory gave null");
        }
        catch (Exception e) when (e is not (UserErrorException or OperationCanceledException or OutOfMemoryException))
        {
            throw new PluginException($"Plugin {provided.Plugin.Manifest.Id} in {Path.Combine(provided.Plugin.Path, provided.Plugin.Manifest.EntryAssembly)}: making the {what} failed with {e.GetType().Name}: {e.Message.TrimEnd('.')}. Ask its author, or leave the plugin out.", e);
        }
    }

    /// <summary>Why the judge that options name does not fit; null where it does. Loads nothing.</summary>
    /// <param name="contract">Whose options they are.</param>
    /// <param name="options">Under the options' own names.</param>
    internal string? UnfitJudge(ProvidedContract contract, JsonObject options)
    {
        if (!contract.Traits.Contains(JudgeTraits.NeedsLogits)) return null;
        var judges = contract.Options.Options.Where(option => option.Type.Kind == OptionKind.Judge).Select(option => options[option.Name]).OfType<JsonObject>();
        return judges.FirstOrDefault(judge => JudgeTraitsOf(judge).Contains(JudgeTraits.Speaks)) is { } speaks
            ? $"{contract.Name} reads a judge's logits, but the judge {(string)speaks["name"]!} is a language model, which grades from 1 to 9; name another one, for instance of type classifier."
            : null;
    }

    // None for an unknown judge; whoever opens it reports that.
    private IReadOnlyList<string> JudgeTraitsOf(JsonObject definition) =>
        definition["name"] is JsonValue value && value.TryGetValue<string>(out var name) ? All.FirstOrDefault(p => p.Contract.Kind == "judge" && (p.Contract.Name == name || p.QualifiedName == name))?.Contract.Traits ?? [] : [];

    /// <summary>Loads a plugin that is needed, so that every failure is known before work starts.</summary>
    /// <param name="plugin">One of <see cref="Plugins"/>.</param>
    /// <exception cref="PluginException">It cannot be loaded; the message names plugin, folder and cause.</exception>
    public void Require(PluginFolder plugin) => Load(plugin);

    private LoadedPlugin Load(PluginFolder plugin)
    {
        if (!loaded.TryGetValue(plugin.Path, out var found)) loaded[plugin.Path] = found = LoadedPlugin.Load(plugin);
        return found;
    }

    private sealed class FolderContext(IPluginContext host, string folder) : IPluginContext
    {
        public ILogger Logger => host.Logger;

        public string Folder => folder;

        public object? GetService(Type type) => host.GetService(type);
    }
}
