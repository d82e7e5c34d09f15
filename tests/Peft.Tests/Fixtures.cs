// A dispose scope for every test, and the plugins' factories by their own registration.

using PeftAlign.Abstractions;
using PeftAlign.Torch;

namespace PeftAlign.Peft.Tests;

/// <summary>Every test runs in a dispose scope of its own, on one thread: the models are tiny.</summary>
public abstract class ScopedTest
{
    private DisposeScope? scope;

    [SetUp]
    public void Open()
    {
        torch.set_num_threads(1);
        scope = torch.NewDisposeScope();
    }

    [TearDown]
    public void Close() => scope?.Dispose();
}

/// <summary>Calls a plugin's Register and keeps the factory that is asked for.</summary>
internal sealed class Registered(string name) : IPluginRegistry
{
    private object? factory;

    internal static TContract Of<TContract, TOptions>(IPlugin plugin, string name, TOptions options)
    {
        var registry = new Registered(name);
        plugin.Register(registry);
        return ((Func<IPluginContext, TOptions, TContract>)registry.factory!)(null!, options);
    }

    void IPluginRegistry.Add<TContract, TOptions>(string provided, int resultVersion, Func<IPluginContext, TOptions, TContract> create)
    {
        if (provided == name) factory = create;
    }

    void IPluginRegistry.Alias<TContract>(string alias, string meaning)
    {
    }
}
