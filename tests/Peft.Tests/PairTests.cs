// Several adapters over one base: both at once, and another one for each row.

using PeftAlign.Abstractions;
using PeftAlign.Models;
using PeftAlign.Models.Adapters;
using PeftAlign.Models.Decoders;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Peft.Tests;

public sealed class PairTests : ScopedTest
{
    private static (DecoderModel Model, Dictionary<string, Delta> A, Dictionary<string, Delta> B) Load()
    {
        var (a, b) = (Golden.Adapter(Golden.Path("pair-a")), Golden.Adapter(Golden.Path("pair-b")));
        var model = Golden.Base(a);
        Dictionary<string, Delta> Sites(AdapterFiles files) => Registered.Lora().Load(model.Outline("base"), files).ToDictionary(s => s.Module, s => s.Delta);
        return (model, Sites(a), Sites(b));
    }

    private static Tensor Pair(string name)
    {
        using var file = Golden.Tensors("pair", "golden.safetensors");
        return file.Tensor(name).clone();
    }

    [Test]
    public void Each_alone_and_both_at_once()
    {
        var (model, a, b) = Load();
        Assert.That(Golden.Distance(Golden.Logits(model, new() { Deltas = a }), Pair("logits_a")), Is.LessThan(1e-4));
        Assert.That(Golden.Distance(Golden.Logits(model, new() { Deltas = b }), Pair("logits_b")), Is.LessThan(1e-4));
        var both = a.ToDictionary(p => p.Key, p => (Delta)new Stack([p.Value, b[p.Key]]));
        Assert.That(Golden.Distance(Golden.Logits(model, new() { Deltas = both }), Pair("logits_both_active")), Is.LessThan(1e-4));
    }

    [Test]
    public void A_row_has_the_adapter_that_its_control_names()
    {
        var (model, a, b) = Load();
        var mode = new ForwardMode { Controls = new Dictionary<string, IReadOnlyDictionary<string, Delta>> { ["a"] = a, ["b"] = b } };
        var rows = Golden.Logits(model, mode, ["a", null, "b"]);
        Assert.That(Golden.Distance(rows, Pair("logits_rows_a_base_b")), Is.LessThan(1e-4));
        // Not near the base: equal to it.
        Assert.That(rows[1].equal(Golden.Logits(model, mode, [null, null, null])[1]));
        Assert.Throws<UserErrorException>(() => Golden.Logits(model, mode, ["a", "c", "b"]));
        Assert.DoesNotThrow(() => Golden.Logits(model, ForwardMode.Plain, ["a", "c", "b"]), "without any adapter controls play no part: the reference of a run with controls");
    }

    // What the upper one trains whole stands in the place of the lower one's: it has to begin there.
    [TestCase("base-llama")]
    [TestCase("base-gpt2")]
    public void A_new_adapter_over_a_trained_one_begins_at_its_policy(string name)
    {
        var model = ModelFolder.Load(Golden.Path(name), device: TestDevice.Here);
        var outline = model.Outline("base");
        var (targets, whole) = name == "base-gpt2" ? ((string[])["c_attn"], "ln_f") : (["q_proj"], "lm_head");
        IReadOnlyList<AdapterSite> New(int rank, ModelOutline over, string init, bool dora) =>
            Registered.Lora(new() { Rank = rank, Targets = [.. targets], Bias = "all", ModulesToSave = [whole], TrainableTokens = rank == 2 ? [5, 2, 40] : [40, 7], Init = init, UseDora = dora }).Attach(over, 1);
        var lower = New(2, outline, "default", dora: false);
        using (torch.no_grad())
            foreach (var site in lower)
                foreach (var (role, tensor) in site.Delta.Parameters) tensor.add_(new CounterStream(9, role, site.Module).Normal(tensor.shape, 0, 0.1).to(tensor.device));
        var before = Golden.Logits(model, new() { Deltas = AdapterLayers.Deltas(lower) });
        Assert.That(Golden.Worst(before[0], Golden.Logits(model, ForwardMode.Plain)[0]), Is.GreaterThan(1e-2));
        foreach (var (init, dora) in (ReadOnlySpan<(string, bool)>)[("default", false), ("pissa", false), ("default", true)])
        {
            var upper = New(3, AdapterLayers.Outline(outline, lower), init, dora);
            Assert.That(upper.Select(s => s.Module), Is.EquivalentTo(lower.Select(s => s.Module)));
            var after = Golden.Logits(model, new() { Deltas = AdapterLayers.Deltas(lower, upper) });
            foreach (var (now, then) in after.Zip(before)) Assert.That(Golden.Worst(now, then), Is.LessThan(1e-5), $"{init} {dora}");
            var others = New(3, outline, init, dora);
            Assert.That(Golden.Worst(Golden.Logits(model, new() { Deltas = AdapterLayers.Deltas(lower, others) })[0], before[0]), Is.GreaterThan(1e-2), "copies of the base's are not the policy");
        }
    }

    // A change that is more than a thin product goes another way through the engine; on LoRA both ways must agree.
    [Test]
    public void Whole_tensors_and_factors_are_chosen_by_row_too()
    {
        var (model, a, _) = Load();
        var module = a.Keys.First();
        var scale = new Scale(torch.full([32], 1.5, device: TestDevice.Here), OfInputs: false);
        ForwardMode One(Delta delta) => new() { Deltas = new Dictionary<string, Delta> { [module] = delta } };
        var mode = new ForwardMode
        {
            Deltas = new Dictionary<string, Delta> { [module] = a[module] },
            Controls = new Dictionary<string, IReadOnlyDictionary<string, Delta>> { ["scaled"] = new Dictionary<string, Delta> { [module] = scale } },
        };
        var rows = Golden.Logits(model, mode, ["scaled", null, "scaled"]);
        var (with, without) = (Golden.Logits(model, One(new Stack([a[module], scale]))), Golden.Logits(model, One(a[module])));
        Assert.That(Golden.Worst(rows[0], with[0]), Is.LessThan(1e-5));
        Assert.That(Golden.Worst(rows[1], without[1]), Is.LessThan(1e-5));
        Assert.That(Golden.Worst(rows[0], without[0]), Is.GreaterThan(1e-2));
    }
}
