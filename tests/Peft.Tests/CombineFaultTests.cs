// What cannot be combined is told by module and adapter; the base's own tables, which PEFT writes beside a changed embedding, are carried over.

using PeftAlign.Abstractions;
using PeftAlign.Torch;

namespace PeftAlign.Peft.Tests;

public sealed class CombineFaultTests : ScopedTest
{
    private const string Query = "base_model.model.model.layers.0.self_attn.q_proj.";
    private const string Table = "base_model.model.model.embed_tokens.base_layer.weight";

    // Two adapters over the golden base, the first over its embedding and head too; PEFT mixes them and writes the mixture.
    private const string Script = """
        import os, sys, torch
        from safetensors.torch import load_file, save_file
        from transformers import AutoModelForCausalLM
        from peft import LoraConfig, PeftModel, get_peft_model
        torch.set_num_threads(1)
        root = sys.argv[1]
        base, inputs = open(os.path.join(root, "base")).read(), load_file(open(os.path.join(root, "inputs")).read())
        plain = lambda: AutoModelForCausalLM.from_pretrained(base, attn_implementation="eager").eval()
        mixed = None
        for k, targets in enumerate([["q_proj", "embed_tokens", "lm_head"], ["q_proj", "embed_tokens"]]):
            torch.manual_seed(k)
            model = get_peft_model(plain(), LoraConfig(task_type="CAUSAL_LM", r=3, target_modules=targets))
            with torch.no_grad():
                for n, p in model.named_parameters():
                    if "lora_" in n: p.copy_(torch.randn_like(p) * 0.3)
            model.save_pretrained(os.path.join(root, f"a{k}"))
            folder = os.path.join(root, f"a{k}")
            if mixed is None: mixed = PeftModel.from_pretrained(plain(), folder, adapter_name="a0")
            else: mixed.load_adapter(folder, adapter_name=f"a{k}")
        mixed.add_weighted_adapter(["a0", "a1"], [0.7, -0.4], "mix", combination_type="cat")
        mixed.set_adapter("mix")
        with torch.no_grad(): logits = mixed.eval()(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits
        save_file({"logits": logits.contiguous()}, os.path.join(root, "logits.safetensors"))
        """;

    private static ICombinesAdapters Lora => (ICombinesAdapters)Registered.Lora();

    private static AdapterFiles Pair(string name) => Golden.Adapter(Golden.Path(name));

    private static AdapterFiles With(AdapterFiles files, params (string Name, Tensor Tensor)[] changed)
    {
        var tensors = new Dictionary<string, Tensor>(files.Tensors);
        foreach (var (name, tensor) in changed) tensors[name] = tensor;
        return files with { Tensors = tensors };
    }

    private static string Refused(string type, AdapterFiles one, AdapterFiles other, double weight = 1) => Assert.Throws<UserErrorException>(() =>
        Lora.Combine([(one, weight), (other, 1)], new(type) { Density = type is "linear" or "cat" or "svd" ? null : 0.5 }))!.Message;

    [Test]
    public void Modules_of_other_shapes_are_told_with_both([Values("linear", "cat", "svd", "ties", "dare_linear_svd")] string type)
    {
        var (one, other) = (Pair("pair-a"), Pair("pair-b"));
        var (a, b) = (other.Tensors[Query + "lora_A.weight"], other.Tensors[Query + "lora_B.weight"]);
        var wide = With(other, (Query + "lora_A.weight", torch.zeros([a.size(0), a.size(1) + 8])), (Query + "lora_B.weight", torch.zeros([b.size(0) + 16, b.size(1)])));
        Assert.That(Refused(type, one, wide), Does.Contain("model.layers.0.self_attn.q_proj").And.Contain($"adapter 1 changes a weight of {b.size(0)} by {a.size(1)}").And.Contain($"adapter 2 one of {b.size(0) + 16} by {a.size(1) + 8}"));
    }

    [Test]
    public void What_is_no_number_is_told_before_it_is_decomposed([Values("linear", "svd", "ties_svd")] string type, [Values(float.NaN, float.NegativeInfinity)] float bad)
    {
        var (one, other) = (Pair("pair-a"), Pair("pair-b"));
        var broken = With(other, (Query + "lora_B.weight", torch.full_like(other.Tensors[Query + "lora_B.weight"], bad)));
        Assert.That(Refused(type, one, broken), Does.Contain("model.layers.0.self_attn.q_proj").And.Contain("adapter 2 holds NaN or infinity"));
    }

    [Test]
    public void Weights_that_overflow_are_told([Values("linear", "cat", "svd", "magnitude_prune_svd")] string type) =>
        Assert.That(Refused(type, Pair("pair-a"), Pair("pair-b"), 1e80), Does.Contain("model.layers.0.mlp.down_proj").And.Contain("adapters 1, 2").And.Contain("weights 1E+80, 1").And.Contain("smaller weights"));

    [Test]
    public void Tables_that_differ_are_refused_and_equal_ones_carried_over()
    {
        var model = Golden.Base(Pair("pair-a"));
        var (adapter, outline) = (Registered.Lora(new() { Rank = 2, Targets = ["embed_tokens", "q_proj"] }), model.Outline("base"));
        var plain = adapter.Save(outline, adapter.Attach(outline, 1));
        var own = outline.Modules.First(m => m.Name == "model.embed_tokens").Tensor("weight")!.cpu();
        var one = With(plain, (Table, own));
        Assert.That(Refused("cat", one, With(plain, (Table, own + 1))), Does.Contain("model.embed_tokens").And.Contain("adapters 1 and 2").And.Contain("different tables of the base (other values)"));
        Assert.That(Refused("cat", one, With(plain, (Table, own.narrow(0, 0, own.size(0) - 1)))), Does.Contain($"([{own.size(0)}, {own.size(1)}] and [{own.size(0) - 1}, {own.size(1)}])"));
        var broken = With(plain, (Table, own.clone().fill_(float.NaN)));
        Assert.That(Refused("cat", broken, broken), Does.Contain("model.embed_tokens: adapter 1 holds NaN or infinity"));
        Assert.That(Refused("cat", one, With(plain, ("base_model.model.model.norm.something", own))), Does.Contain("cannot be combined"));
        var both = Lora.Combine([(one, 1), (With(plain, (Table, own.clone())), 1)], new("cat"));
        Assert.That(both.Tensors[Table].equal(own));
        // Beside an adapter that changes it, one that does not has the table under its plain name.
        var (query, beside) = (Registered.Lora(new() { Rank = 2, Targets = ["q_proj"] }), "base_model.model.model.embed_tokens.weight");
        var narrow = With(query.Save(outline, query.Attach(outline, 1)), (beside, own));
        Assert.That(Lora.Combine([(narrow, 1), (one, 1)], new("cat")).Tensors.Keys, Does.Contain(Table).And.Not.Contain(beside));
        Assert.That(Lora.Combine([(narrow, 1), (narrow, 1)], new("cat")).Tensors.Keys, Does.Contain(beside));
        Assert.That(Registered.Lora().Load(outline, both), Has.Count.EqualTo(3));
    }

    // Phi's head has a bias, which PEFT writes beside its matrix.
    [Test]
    public void A_heads_bias_goes_with_its_table()
    {
        const string Head = "base_model.model.lm_head.";
        var model = Models.ModelFolder.Load(Golden.Path("../families/phi/base-model"), device: TestDevice.Here);
        var (adapter, outline) = (Registered.Lora(new() { Rank = 2, Targets = ["lm_head", "q_proj"] }), model.Outline("base"));
        var (weight, bias) = (model.Weights["lm_head.weight"].cpu(), model.Weights["lm_head.bias"].cpu());
        var both = With(adapter.Save(outline, adapter.Attach(outline, 1)), (Head + "base_layer.weight", weight), (Head + "base_layer.bias", bias));
        var query = Registered.Lora(new() { Rank = 2, Targets = ["q_proj"] });
        var narrow = With(query.Save(outline, query.Attach(outline, 1)), (Head + "weight", weight), (Head + "bias", bias));
        var combined = Lora.Combine([(narrow, 1), (both, 1)], new("cat"));
        Assert.That(combined.Tensors[Head + "base_layer.bias"].equal(bias) && combined.Tensors[Head + "base_layer.weight"].equal(weight), Is.True);
        Assert.That(combined.Tensors.Keys, Does.Not.Contain(Head + "bias"));
        Assert.That(Lora.Combine([(narrow, 1), (narrow, 1)], new("cat")).Tensors.Keys, Does.Contain(Head + "bias"));
        Assert.That(Registered.Lora().Load(outline, combined), Has.Count.EqualTo(3));
        Assert.That(Refused("cat", both, With(both, (Head + "base_layer.bias", bias + 1))), Does.StartWith("lm_head.bias: the adapters 1 and 2 bring different tables of the base (other values)"));
        Assert.That(Refused("cat", both, With(both, (Head + "bias", bias))), Does.Contain("cannot be combined"));
    }

    [Test]
    public void Peft_mixes_its_own_folders_of_embeddings_alike()
    {
        var root = Directory.CreateTempSubdirectory("peftalign-peers-").FullName;
        try
        {
            File.WriteAllText(Path.Combine(root, "base"), Golden.Path("base-llama"));
            File.WriteAllText(Path.Combine(root, "inputs"), Golden.Path("inputs.safetensors"));
            PeersPython.Run(Script, root);
            var inputs = new[] { (Golden.Adapter(Path.Combine(root, "a0")), 0.7), (Golden.Adapter(Path.Combine(root, "a1")), -0.4) };
            Assert.That(inputs[0].Item1.Tensors.Keys, Does.Contain(Table), "PEFT writes the table");
            var combined = Lora.Combine(inputs, new("cat"));
            var model = Models.ModelFolder.Load(Golden.Path("base-llama"), device: TestDevice.Here);
            var sites = Registered.Lora().Load(model.Outline("base"), combined);
            using var theirs = Models.Checkpoints.SafetensorsFile.Open(Path.Combine(root, "logits.safetensors"));
            Assert.That(Golden.Distance(Golden.Logits(model, ModuleGoldenTests.Mode(sites)), theirs.Tensor("logits")), Is.LessThan(1e-4));
        }
        finally
        {
            Directory.Delete(root, recursive: true);
        }
    }
}
