// Collects what a plugin's Register adds.

using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;

namespace PeftAlign.Plugins;

/// <summary>One factory: what it makes, the class of its options, and the function.</summary>
internal sealed record Factory(string Kind, string Name, int ResultVersion, Type OptionsType, Func<IPluginContext, object, object> Create)
{
    /// <summary>JSON of what the name stands for; empty for a contract of its own.</summary>
    public string Alias { get; init; } = "";
}

internal sealed class Registration : IPluginRegistry
{
    private readonly List<Factory> factories = [];

    public IReadOnlyList<Factory> Factories => factories;

    public void Add<TContract, TOptions>(string name, int resultVersion, Func<IPluginContext, TOptions, TContract> create)
        where TContract : class
        where TOptions : class, new()
    {
        ArgumentNullException.ThrowIfNull(create);
        var kind = Kind<TContract>(name);
        if (resultVersion < 1) throw new PluginException($"The {kind} '{name}' has resultVersion {resultVersion}; it starts at 1.");
        factories.Add(new Factory(kind, name, resultVersion, typeof(TOptions), (context, options) => create(context, (TOptions)options)));
    }

    public void Alias<TContract>(string alias, string meaning)
        where TContract : class
    {
        var kind = Kind<TContract>(alias);
        var target = Target(meaning) ?? throw new PluginException($"The {kind} alias '{alias}' must stand for JSON with a 'type', but stands for {meaning}.");
        // What another plugin provides is made there: whoever meets the alias looks the target up.
        var stood = factories.Find(factory => factory.Kind == kind && factory.Name == target)
            ?? new Factory(kind, target, 1, typeof(NoOptions), (_, _) => throw new PluginException($"The {kind} '{alias}' stands for '{target}' of another plugin and cannot be made itself."));
        factories.Add(stood with { Name = alias, Alias = meaning });
    }

    /// <summary>Of an alias for another plugin's contract.</summary>
    private sealed class NoOptions;

    private static string? Target(string meaning)
    {
        try
        {
            return JsonNode.Parse(meaning)?["type"]?.GetValue<string>();
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            return null;
        }
    }

    private string Kind<TContract>(string name)
    {
        var kind = ContractKinds.Of(typeof(TContract)) ?? throw new PluginException(
            $"'{name}' is registered as {typeof(TContract).FullName}, which is no contract of this host; contracts are of the kinds {string.Join(", ", ContractKinds.All)}.");
        if (string.IsNullOrEmpty(name) || name.Any(letter => !(char.IsAsciiLetterLower(letter) || char.IsAsciiDigit(letter) || letter is '_' or '-' or '.')))
            throw new PluginException($"The {kind} name '{name}' must be of lower-case letters, digits, '_', '-' and '.'.");
        if (factories.Any(factory => factory.Kind == kind && factory.Name == name))
            throw new PluginException($"The {kind} '{name}' is registered twice by one plugin; give one of them another name.");
        return kind;
    }
}
