// A reader of the plugin by its name, as the host would make it.

using PeftAlign.Abstractions;

namespace PeftAlign.Data.Tests;

internal static class Readers
{
    internal static IDatasetReader Of<TOptions>(string name, TOptions options)
    {
        var registry = new Registry(name);
        new DataPlugin().Register(registry);
        return ((Func<IPluginContext, TOptions, IDatasetReader>)registry.Factory!)(null!, options);
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
