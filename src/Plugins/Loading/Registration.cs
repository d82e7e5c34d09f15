// Collects what a plugin's Register adds.

using PeftAlign.Abstractions;

namespace PeftAlign.Plugins;

/// <summary>One factory: what it makes, the class of its options, and the function.</summary>
internal sealed record Factory(string Kind, string Name, int ResultVersion, Type OptionsType, Func<IPluginContext, object, object> Create);

internal sealed class Registration : IPluginRegistry
{
    private readonly List<Factory> factories = [];

    public IReadOnlyList<Factory> Factories => factories;

    public void Add<TContract, TOptions>(string name, int resultVersion, Func<IPluginContext, TOptions, TContract> create)
        where TContract : class
        where TOptions : class, new()
    {
        var kind = ContractKinds.Of(typeof(TContract)) ?? throw new PluginException(
            $"'{name}' is registered as {typeof(TContract).FullName}, which is no contract of this host; contracts are of the kinds {string.Join(", ", ContractKinds.All)}.");
        if (string.IsNullOrEmpty(name) || name.Any(letter => !(char.IsAsciiLetterLower(letter) || char.IsAsciiDigit(letter) || letter is '_' or '-' or '.')))
            throw new PluginException($"The {kind} name '{name}' must be of lower-case letters, digits, '_', '-' and '.'.");
        if (factories.Any(factory => factory.Kind == kind && factory.Name == name))
            throw new PluginException($"The {kind} '{name}' is registered twice by one plugin; give one of them another name.");
        ArgumentNullException.ThrowIfNull(create);
        factories.Add(new Factory(kind, name, resultVersion, typeof(TOptions), (context, options) => create(context, (TOptions)options)));
    }
}
