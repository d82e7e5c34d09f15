// A dispose scope for every test, and the plugins' factories by their own registration.

using PeftAlign.Abstractions;
using PeftAlign.Peft.Bottleneck;
using PeftAlign.Peft.IA3;
using PeftAlign.Peft.Lora;
using PeftAlign.Peft.Prefix;
using PeftAlign.Peft.Prompt;
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

    internal static IPeftAdapter Lora(LoraOptions? options = null) => Of<IPeftAdapter, LoraOptions>(new LoraPlugin(), "lora", options ?? new LoraOptions());

    internal static IPeftAdapter IA3(IA3Options? options = null) => Of<IPeftAdapter, IA3Options>(new IA3Plugin(), "ia3", options ?? new IA3Options());

    internal static IPeftAdapter Prompt(PromptOptions? options = null) => Of<IPeftAdapter, PromptOptions>(new PromptPlugin(), "prompt", options ?? new PromptOptions());

    internal static IPeftAdapter Prefix(PrefixOptions? options = null) => Of<IPeftAdapter, PrefixOptions>(new PrefixPlugin(), "prefix", options ?? new PrefixOptions());

    internal static IPeftAdapter Bottleneck(BottleneckOptions? options = null) => Of<IPeftAdapter, BottleneckOptions>(new BottleneckPlugin(), "bottleneck", options ?? new BottleneckOptions());

    /// <summary>The adapter that reads a folder, by its peft_type.</summary>
    internal static IPeftAdapter ReaderOf(AdapterFiles files) => new[] { Lora(), IA3(), Prompt(), Prefix(), Bottleneck() }.First(a => a.PeftType == (string)files.Config["peft_type"]!);

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
