// One layer in training mode under a given dropout mask, and new adapters' starts, against PEFT's numbers.

using PeftAlign.Abstractions;
using PeftAlign.Models.Decoders;
using PeftAlign.Peft.Lora;
using PeftAlign.Torch;

namespace PeftAlign.Peft.Tests;

public sealed class LayerTests : ScopedTest
{
    [TestCase("lora")]
    [TestCase("dora")]
    public void A_layer_in_training_mode(string kind)
    {
        using var golden = Golden.Tensors("layer", "golden.safetensors");
        var facts = Golden.Json("layer", "golden.json");
        Tensor Leaf(string name) => golden.Tensor(name).clone().requires_grad_();
        var (rate, scale) = ((double)facts["dropout"]!, (double)facts["lora_alpha"]! / (double)facts["r"]!);
        var (x, a, b, m) = (Leaf("x"), Leaf(kind + ".A"), Leaf(kind + ".B"), kind == "dora" ? Leaf("dora.magnitude") : null);
        var layer = new Layer("layer", golden.Tensor("weight"), golden.Tensor("bias"));
        var low = new LowRank(a, b, scale, rate) { Magnitude = m };
        var asked = new List<double>();
        var y = Deltas.Linear(layer, x, low, (input, share) =>
        {
            asked.Add(share);
            return input * golden.Tensor("mask") / (1 - share);
        });
        Assert.That(asked, Is.EqualTo(new[] { rate }));
        Assert.That(Golden.Worst(y, golden.Tensor(kind + ".y_train")), Is.LessThan(2e-6));
        Assert.That(Golden.Worst(Deltas.Linear(layer, x, low, (input, _) => input), golden.Tensor(kind + ".y_eval")), Is.LessThan(2e-6));
        y.backward(golden.Tensor("dy"));
        foreach (var (name, leaf) in new[] { ("dx", x), ("dA", a), ("dB", b), ("dmagnitude", m) })
            if (leaf is not null) Assert.That(Golden.Worst(leaf.grad!, golden.Tensor($"{kind}.{name}")), Is.LessThan(5e-6), name);
    }

    [TestCase("pissa", "pissa", false)]
    [TestCase("pissa_rslora", "pissa", true)]
    [TestCase("olora", "olora", false)]
    public void Starts_that_follow_from_the_weights(string run, string init, bool rslora)
    {
        using var golden = Golden.Tensors("inits", "golden.safetensors");
        var model = Golden.Base(Golden.Adapter(Golden.Path("pissa-trained")));
        var adapter = Registered.Lora(new LoraOptions { Rank = 4, Alpha = 6, Targets = ["q_proj", "down_proj"], Init = init, UseRslora = rslora });
        var sites = adapter.Attach(model.Outline("base"), 1);
        Assert.That(sites, Has.Count.EqualTo(4));
        foreach (var site in sites)
        {
            var low = (LowRank)site.Delta;
            var own = model.Weights[site.Module + ".weight"];
            // PEFT's own float32 numbers are up to 7e-6 from the float64 ones, where the fourth and fifth singular values are close.
            Assert.That(Golden.Worst(low.B.mm(low.A), golden.Tensor($"{run}.{site.Module}.BA")), Is.LessThan(1e-5), site.Module);
            Assert.That(Golden.Worst(own - low.B.mm(low.A) * low.Scale, golden.Tensor($"{run}.{site.Module}.base")), Is.LessThan(1e-5), site.Module);
        }
        // The start beside the base is taken away again: the policy is the base, bit for bit.
        foreach (var (on, off) in Golden.Logits(model, ModuleGoldenTests.Mode(sites)).Zip(Golden.Logits(model, ForwardMode.Plain))) Assert.That(on.equal(off));
    }

    [Test]
    public void A_randomised_start_comes_near_the_exact_one()
    {
        var model = Golden.Base(Golden.Adapter(Golden.Path("lora")));
        IReadOnlyList<AdapterSite> Attached(string init) => Registered.Lora(new LoraOptions { Rank = 4, Init = init }).Attach(model.Outline("base"), 1);
        foreach (var (exact, near) in Attached("pissa").Zip(Attached("pissa_niter_16")))
        {
            var (one, other) = ((LowRank)exact.Delta, (LowRank)near.Delta);
            var own = model.Weights[exact.Module + ".weight"];
            double Rest(LowRank low) => (own - low.B.mm(low.A) * low.Scale).norm().item<float>();
            // The exact start leaves the least that a rank can leave.
            Assert.That(Rest(other) / Rest(one), Is.InRange(1 - 1e-6, 1.001), exact.Module);
        }
    }

    [Test]
    public void Default_and_gaussian_starts()
    {
        var outline = new ModelOutline("llama", "x", [new("model.embed_tokens", ModuleKind.Embedding, 400, 300), new("q_proj", ModuleKind.Linear, 400, 300)]);
        LowRank New(string init, string target) => (LowRank)Registered.Lora(new LoraOptions { Init = init, Targets = [target] }).Attach(outline, 3)[0].Delta;
        var usual = New("default", "q_proj");
        Assert.That(usual.A.abs().max().item<float>(), Is.InRange(0.0495, 0.05));
        Assert.That(usual.B.abs().max().item<float>(), Is.Zero);
        var gaussian = New("gaussian", "q_proj");
        Assert.That(gaussian.A.std().item<float>(), Is.EqualTo(1 / 8.0).Within(0.01));
        var embedding = New("default", "embed_tokens");
        Assert.That((embedding.A.shape, embedding.B.shape), Is.EqualTo((new long[] { 8, 300 }, new long[] { 400, 8 })));
        Assert.That((embedding.A.abs().max().item<float>(), embedding.B.std().item<float>()), Is.EqualTo((0f, 1f)).Within(0.05f));
    }

    // Normal of deviation 0.01, cut at two of it: 0.88 of that is left. The way back up begins at 0 only where that is asked for.
    [Test]
    public void A_bottleneck_starts_small()
    {
        var outline = new ModelOutline("llama", "x", [new("down_proj", ModuleKind.Linear, 300, 400)]);
        var start = (Wrap)Registered.Bottleneck(new() { Targets = ["down_proj"] }).Attach(outline, 3)[0].Delta;
        Assert.That((start.Down.abs().max().item<float>(), start.Down.std().item<float>()), Is.EqualTo((0.02f, 0.0088f)).Within(3e-4f));
        Assert.That((start.DownBias.count_nonzero().item<long>(), start.UpBias.count_nonzero().item<long>()), Is.EqualTo((0L, 0L)));
    }

    [TestCase("q_porj", "q_proj")]
    [TestCase("attention", "all-linear")]
    [TestCase("norm", "match no module")]
    [TestCase("(.*", "no regular expression")]
    public void Targets_that_match_nothing_are_an_error_that_says_what_there_is(string target, string hint)
    {
        var model = Golden.Base(Golden.Adapter(Golden.Path("lora")));
        var message = Assert.Throws<UserErrorException>(() => Registered.Lora(new LoraOptions { Targets = [target] }).Attach(model.Outline("base"), 1))!.Message;
        Assert.That(message, Does.Contain(hint));
    }

    // As PEFT, by how names end, dots or not.
    [TestCase("head", "lm_head")]
    [TestCase("norm", "model.layers.0.input_layernorm, model.layers.0.post_attention_layernorm, model.layers.1.input_layernorm, model.layers.1.post_attention_layernorm, model.norm")]
    [TestCase(".norm", "model.norm")]
    public void Modules_to_save_are_told_by_how_they_end(string entry, string modules)
    {
        var sites = Registered.Lora(new LoraOptions { ModulesToSave = [entry] }).Attach(Golden.Base(Golden.Adapter(Golden.Path("lora"))).Outline("base"), 1);
        Assert.That(string.Join(", ", sites.Where(s => s.Delta is Whole).Select(s => s.Module).Order(StringComparer.Ordinal)), Is.EqualTo(modules));
    }

    // As PEFT: by its name or a dotted suffix a target leaves the targets, in new adapters and in folders; other ends are refused.
    [TestCase("v_proj")]
    [TestCase("self_attn.v_proj")]
    public void A_target_that_is_to_be_saved_is_trained_whole(string entry)
    {
        var (outline, adapter) = (Golden.Base(Golden.Adapter(Golden.Path("lora"))).Outline("base"), Registered.Lora(new() { Targets = ["q_proj", "v_proj"], ModulesToSave = [entry] }));
        var made = adapter.Attach(outline, 1);
        var files = adapter.Save(outline, made);
        foreach (var sites in (IReadOnlyList<AdapterSite>[])[made, Registered.Lora().Load(outline, files)])
            Assert.That(sites.Select(s => (s.Module.Split('.')[^1], s.Delta.GetType())).Distinct(), Is.EquivalentTo(new[] { ("q_proj", typeof(LowRank)), ("v_proj", typeof(Whole)) }));
        foreach (var end in (string[])["proj", ".v_proj"])
        {
            files.Config["modules_to_save"] = new System.Text.Json.Nodes.JsonArray(end);
            Assert.That(Assert.Throws<UserErrorException>(() => Registered.Lora().Load(outline, files))!.Message, Does.Contain("not both"), end);
            Assert.That(Assert.Throws<UserErrorException>(() => Registered.Lora(new() { Targets = ["q_proj", "v_proj"], ModulesToSave = [end] }).Attach(outline, 1))!.Message, Does.Contain("not both"), end);
        }
        Assert.That(Assert.Throws<UserErrorException>(() => Registered.Lora(new() { Targets = ["v_proj"], ModulesToSave = [entry] }).Attach(outline, 1))!.Message, Does.Contain("leave none"));
    }

    // A list for several architectures: what the model has is read, what it has not is passed over.
    [Test]
    public void Targets_of_a_folder_that_match_nothing_are_passed_over()
    {
        var (model, adapter) = (Golden.Base(Golden.Adapter(Golden.Path("lora"))), Registered.Lora(new LoraOptions { Targets = ["q_proj", "v_proj"] }));
        var outline = model.Outline("base");
        var files = adapter.Save(outline, adapter.Attach(outline, 1));
        files.Config["target_modules"] = new System.Text.Json.Nodes.JsonArray("q_proj", "c_attn", "v_proj", "query_key_value");
        Assert.That(Registered.Lora().Load(outline, files), Has.Count.EqualTo(4));
        Assert.That(Models.Adapters.ModuleTargets.Idle(outline, ["q_proj", "c_attn", "v_proj", "query_key_value"]), Is.EqualTo(new[] { "c_attn", "query_key_value" }));
        files.Config["target_modules"] = new System.Text.Json.Nodes.JsonArray("c_attn");
        Assert.That(Assert.Throws<UserErrorException>(() => Registered.Lora().Load(outline, files))!.Message, Does.Contain("match no module"));
        files.Config["target_modules"] = new System.Text.Json.Nodes.JsonArray("q_proj", "c_attn");
        Assert.That(Assert.Throws<UserErrorException>(() => Registered.Lora().Load(outline, files))!.Message, Does.Contain("v_proj").And.Contain("do not explain"));
    }

    [Test]
    public void What_does_not_go_together_is_refused()
    {
        var outline = Golden.Base(Golden.Adapter(Golden.Path("lora"))).Outline("base");
        void Refused(LoraOptions options, string word) => Assert.That(Assert.Throws<UserErrorException>(() => Registered.Lora(options).Attach(outline, 1))!.Message, Does.Contain(word));
        Refused(new() { Init = "eva" }, "pissa_niter_N");
        Refused(new() { Init = "pissa", UseDora = true }, "use_dora");
        Refused(new() { Init = "pissa", Rank = 17 }, "lower rank");
        Refused(new() { Targets = ["embed_tokens"], UseDora = true }, "embedding");
        Refused(new() { TrainableTokens = [96] }, "vocabulary of 96");
        Refused(new() { TrainableTokens = [1], Targets = ["embed_tokens"] }, "choose one");
        Refused(new() { ModulesToSave = ["heads"] }, "modules_to_save");
        Refused(new() { ModulesToSave = ["proj"] }, "not both");
        Refused(new() { ExcludeModules = ["q_proj", "v_proj"] }, "leave none");
        Refused(new() { Targets = [".*q_proj"], LayersToTransform = [0] }, "regular expression");
        Refused(new() { RankPattern = new() { ["q_proj"] = 2, [@"layers\.0\..*"] = 4 } }, @"rank_pattern: 'q_proj' (2) and 'layers\.0\..*' (4) both mean model.layers.0.self_attn.q_proj");
        Refused(new() { AlphaPattern = new() { ["q_proj"] = 2, [".*_proj"] = 0.5 } }, "alpha_pattern: 'q_proj' (2) and '.*_proj' (0.5) both mean");
        Registered.Lora(new() { RankPattern = new() { ["q_proj"] = 2, [".*q_proj"] = 2 } }).Attach(outline, 1);
    }
}
