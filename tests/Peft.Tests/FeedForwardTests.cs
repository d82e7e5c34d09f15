// Which of IA3's factors are of inputs. What is expected is what PEFT 0.21 makes of the same names (ia3_l of a module is (1, in) or (out, 1)).

using PeftAlign.Abstractions;
using PeftAlign.Models;

namespace PeftAlign.Peft.Tests;

public sealed class FeedForwardTests : ScopedTest
{
    // Left out, PEFT takes the architecture's usual ones whatever the targets; an empty list is none.
    [TestCase("", null, "k_proj v_proj down_proj*")]
    [TestCase("", "", "k_proj v_proj down_proj")]
    [TestCase("q_proj down_proj", null, "q_proj down_proj*")]
    [TestCase("q_proj mlp.down_proj", null, "q_proj down_proj*")]
    [TestCase("q_proj down_proj", "", "q_proj down_proj")]
    [TestCase("q_proj", null, "q_proj")]
    [TestCase(".*(q_proj|down_proj)", null, "q_proj down_proj*")]
    [TestCase("q_proj up_proj", "up_proj", "q_proj up_proj*")]
    public void The_inputs_of_those_modules_are_scaled(string targets, string? feedForward, string expected)
    {
        string[] Names(string text) => text.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        var model = ModelFolder.Load(Golden.Path("base-llama"), device: TestDevice.Here);
        var outline = model.Outline("base");
        string[] Of(IReadOnlyList<AdapterSite> sites) => [.. sites.Where(s => s.Module.Contains(".0.", StringComparison.Ordinal)).Select(s => s.Module.Split('.')[^1] + (s.Delta is Scale { OfInputs: true } ? "*" : ""))];
        var adapter = Registered.IA3(new() { Targets = [.. Names(targets)], FeedforwardModules = feedForward is null ? null : [.. Names(feedForward)] });
        var sites = adapter.Attach(outline, 1);
        Assert.That(Of(sites), Is.EquivalentTo(Names(expected)));
        var files = adapter.Save(outline, sites);
        Assert.That(Of(Registered.IA3().Load(outline, files)), Is.EquivalentTo(Names(expected)), "what is saved is read as what was trained");
        if (feedForward is not null) return;
        files.Config.Remove("feedforward_modules");
        Assert.That(Of(Registered.IA3().Load(outline, files)), Is.EquivalentTo(Names(expected)), "a folder that leaves them out");
    }
}
