// Adapters over one another inside weights: what the live chain computes, whichever of them adds, replaces or scales.

using PeftAlign.Abstractions;
using PeftAlign.Models;
using PeftAlign.Models.Adapters;
using PeftAlign.Models.Decoders;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Peft.Tests;

public sealed class ChainMergeTests : ScopedTest
{
    private const double Tolerance = 1e-4;

    // Kinds of adapters by the base: attached to the module that all of them change, or to all modules of their kind.
    private static IPeftAdapter Kind(string kind, bool gpt2) => kind switch
    {
        "lora" => Registered.Lora(new() { Rank = 2, Targets = [Target(gpt2)] }),
        "dora" => Registered.Lora(new() { Rank = 3, Targets = [Target(gpt2)], UseDora = true }),
        "pissa" => Registered.Lora(new() { Rank = 3, Targets = [Target(gpt2)], Init = "pissa" }),
        "bias" => Registered.Lora(new() { Rank = 2, Targets = [Target(gpt2)], Bias = "lora_only" }),
        "biases" => Registered.Lora(new() { Rank = 2, Targets = [gpt2 ? "c_fc" : "down_proj"], Bias = "all" }),
        "whole" => Registered.Lora(new() { Rank = 2, Targets = [gpt2 ? "c_fc" : "down_proj"], ModulesToSave = [Target(gpt2)] }),
        "norm" => Registered.Lora(new() { Rank = 2, Targets = [Target(gpt2)], ModulesToSave = [gpt2 ? "ln_f" : "norm"] }),
        "tokens" => Registered.Lora(new() { Rank = 2, Targets = [Target(gpt2)], TrainableTokens = [5, 2, 40] }),
        "other-tokens" => Registered.Lora(new() { Rank = 3, Targets = [Target(gpt2)], TrainableTokens = [40, 7] }),
        "embedding" => Registered.Lora(new() { Rank = 2, Targets = ["embed_tokens"] }),
        "head" => Registered.Lora(new() { Rank = 2, Targets = ["lm_head"] }),
        "head-whole" => Registered.Lora(new() { Rank = 2, Targets = [Target(gpt2)], ModulesToSave = ["lm_head"] }),
        "ia3" => Registered.IA3(new() { Targets = [Target(gpt2)], FeedforwardModules = [] }),
        "ia3-inputs" => Registered.IA3(new() { Targets = [Target(gpt2)], FeedforwardModules = [Target(gpt2)] }),
        _ => throw new ArgumentOutOfRangeException(nameof(kind), kind, null),
    };

    private static string Target(bool gpt2) => gpt2 ? "c_attn" : "q_proj";

    private static readonly string[] OfBoth = ["lora", "dora", "pissa", "bias", "biases", "whole", "norm", "ia3", "ia3-inputs"];
    private static readonly string[] OfLlama = ["tokens", "other-tokens", "embedding", "head", "head-whole"];

    private static IEnumerable<TestCaseData> Pairs() =>
        from name in (string[])["base-llama", "base-gpt2"]
        let kinds = name == "base-gpt2" ? [.. OfBoth, "tokens", "other-tokens"] : (string[])[.. OfBoth, .. OfLlama]
        from lower in kinds
        from upper in kinds
        select new TestCaseData(name, lower, upper);

    [TestCaseSource(nameof(Pairs))]
    public void Weights_give_what_the_live_chain_gives(string name, string lower, string upper)
    {
        var model = ModelFolder.Load(Golden.Path(name), device: TestDevice.Here);
        IReadOnlyList<AdapterSite>[] layers = [Trained(model, name, lower, 1), Trained(model, name, upper, 2)];
        var live = Golden.Logits(model, new() { Deltas = AdapterLayers.Deltas(layers) });
        Assert.That(Apart(live, Golden.Logits(model, new() { Deltas = AdapterLayers.Deltas(layers[..1]) })), Is.GreaterThan(100 * Tolerance), "the upper one changes nothing");
        Assert.That(Apart(Golden.Logits(AdapterMerge.Merged(model, layers), ForwardMode.Plain), live), Is.LessThan(Tolerance));
        AdapterMerge.Into(model, layers);
        Assert.That(Apart(Golden.Logits(model, ForwardMode.Plain), live), Is.LessThan(Tolerance));
    }

    [Test]
    public void Three_adapters_of_which_the_middle_one_is_whole()
    {
        var model = ModelFolder.Load(Golden.Path("base-llama"), device: TestDevice.Here);
        IReadOnlyList<AdapterSite>[] layers = [Trained(model, "base-llama", "dora", 1), Trained(model, "base-llama", "whole", 2), Trained(model, "base-llama", "lora", 3)];
        var live = Golden.Logits(model, new() { Deltas = AdapterLayers.Deltas(layers) });
        AdapterMerge.Into(model, layers);
        Assert.That(Apart(Golden.Logits(model, ForwardMode.Plain), live), Is.LessThan(Tolerance));
    }

    // As if trained: a part that begins as zero, or as a copy, would hide what it does.
    private static IReadOnlyList<AdapterSite> Trained(DecoderModel model, string name, string kind, int seed)
    {
        using var off = torch.no_grad();
        var sites = Kind(kind, name == "base-gpt2").Attach(model.Outline("base"), (ulong)seed);
        foreach (var site in sites)
            foreach (var (role, tensor) in site.Delta.Parameters) tensor.add_(new CounterStream((ulong)seed, role, site.Module).Normal(tensor.shape, 0, 0.1).to(tensor.device));
        return sites;
    }

    private static double Apart(List<Tensor> ours, List<Tensor> theirs) => ours.Zip(theirs).Select(pair => Golden.Worst(LogProbs(pair.First), LogProbs(pair.Second))).Aggregate(Math.Max);

    private static Tensor LogProbs(Tensor logits) => logits.log_softmax(1);
}
