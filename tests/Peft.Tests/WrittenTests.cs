// What is written is read again as the same adapter, and in PEFT's words: in its lists every entry is a name, an expression stands alone.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models;
using PeftAlign.Models.Adapters;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Peft.Tests;

public sealed class WrittenTests : ScopedTest
{
    private static IEnumerable<string> Modules => PeftReadsTests.Cases.Where(c => c.Value.Base == "base-llama" && !c.Key.StartsWith("pr", StringComparison.Ordinal)).Select(c => c.Key).Append("bottleneck");

    private static IPeftAdapter New(string name) => name == "bottleneck"
        ? Registered.Bottleneck(new() { Targets = ["down_proj", @".*\.o_proj"], ExcludeModules = [@".*\.0\..*o_proj"], BottleneckSize = 3 })
        : PeftReadsTests.Cases[name].Adapter();

    [TestCaseSource(nameof(Modules))]
    public void A_folder_is_read_again_as_what_was_trained(string name)
    {
        var (adapter, model) = (New(name), ModelFolder.Load(Golden.Path("base-llama"), device: TestDevice.Here));
        var outline = model.Outline("base");
        var sites = adapter.Attach(outline, 1);
        using (torch.no_grad())
            foreach (var site in sites)
                foreach (var (role, tensor) in site.Delta.Parameters) tensor.add_(new CounterStream(9, role, site.Module).Normal(tensor.shape, 0, 0.1));
        var files = adapter.Save(outline, sites);
        var again = Registered.ReaderOf(files);
        var read = again.Load(outline, files);
        Assert.That(read.Select(s => s.Module), Is.EquivalentTo(sites.Select(s => s.Module)));
        foreach (var (ours, theirs) in Golden.Logits(model, ModuleGoldenTests.Mode(sites)).Zip(Golden.Logits(model, ModuleGoldenTests.Mode(read))))
            Assert.That(Golden.Worst(ours, theirs), Is.LessThan(1e-4));
        Assert.That(again.Save(outline, read).Tensors.Keys, Is.EquivalentTo(files.Tensors.Keys));
    }

    [TestCaseSource(nameof(Modules))]
    public void An_expression_stands_in_no_list(string name)
    {
        var (adapter, outline) = (New(name), ModelFolder.Load(Golden.Path("base-llama"), device: TestDevice.Here).Outline("base"));
        var config = adapter.Save(outline, adapter.Attach(outline, 1)).Config;
        foreach (var key in (string[])["target_modules", "exclude_modules", "feedforward_modules"])
            if (config[key] is JsonArray entries) Assert.That(entries.Select(e => (string)e!).Where(ModuleTargets.IsRegex), Is.Empty, key);
        if (config["feedforward_modules"] is JsonArray own && config["target_modules"] is JsonArray all)
            Assert.That(own.Select(e => (string)e!), Is.SubsetOf(all.Select(e => (string)e!)), "PEFT refuses others");
    }
}
