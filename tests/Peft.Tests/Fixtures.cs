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

/// <summary>The plugins' adapters, as their Register provides them.</summary>
internal static class Registered
{
    internal static IPeftAdapter Lora(LoraOptions? options = null) => PluginParts.Make<IPeftAdapter, LoraOptions>(new LoraPlugin(), "lora", options ?? new LoraOptions());

    internal static IPeftAdapter IA3(IA3Options? options = null) => PluginParts.Make<IPeftAdapter, IA3Options>(new IA3Plugin(), "ia3", options ?? new IA3Options());

    internal static IPeftAdapter Prompt(PromptOptions? options = null) => PluginParts.Make<IPeftAdapter, PromptOptions>(new PromptPlugin(), "prompt", options ?? new PromptOptions());

    internal static IPeftAdapter Prefix(PrefixOptions? options = null) => PluginParts.Make<IPeftAdapter, PrefixOptions>(new PrefixPlugin(), "prefix", options ?? new PrefixOptions());

    internal static IPeftAdapter Bottleneck(BottleneckOptions? options = null) => PluginParts.Make<IPeftAdapter, BottleneckOptions>(new BottleneckPlugin(), "bottleneck", options ?? new BottleneckOptions());

    /// <summary>The adapter that reads a folder, by its peft_type.</summary>
    internal static IPeftAdapter ReaderOf(AdapterFiles files) => new[] { Lora(), IA3(), Prompt(), Prefix(), Bottleneck() }.First(a => a.PeftType == (string)files.Config["peft_type"]!);
}
