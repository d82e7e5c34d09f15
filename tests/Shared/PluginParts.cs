// A part of a plugin as its Register provides it, made with options of the test's own. Compiled into the test projects that need it.

using PeftAlign.Abstractions;

namespace PeftAlign.Tests;

/// <summary>Calls a plugin's Register and keeps the factory that is asked for.</summary>
internal sealed class PluginParts : IPluginRegistry
{
    private readonly string wanted;
    private object? factory;

    private PluginParts(string name) => wanted = name;

    /// <summary>Makes what a plugin provides under a name.</summary>
    internal static TContract Make<TContract, TOptions>(IPlugin plugin, string name, TOptions options, IPluginContext? context = null)
    {
        var parts = new PluginParts(name);
        plugin.Register(parts);
        return ((Func<IPluginContext, TOptions, TContract>?)parts.factory ?? throw new ArgumentException($"the plugin registers no {typeof(TContract).Name} '{name}'"))(context!, options);
    }

    void IPluginRegistry.Add<TContract, TOptions>(string provided, int resultVersion, Func<IPluginContext, TOptions, TContract> create)
    {
        if (provided == wanted) factory = create;
    }

    void IPluginRegistry.Alias<TContract>(string alias, string meaning)
    {
    }
}
