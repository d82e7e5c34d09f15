// What PEFT's LoRA folders hold beside their pairs, in PATH+ADAPTER: it is merged as PEFT's merge_and_unload does, or refused by name.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Merging.Tests;

public class AdapterInputTests
{
    private const string Query = "model.layers.1.self_attn.q_proj";
    private const string Tokens = "model.embed_tokens.token_adapter.trainable_tokens_delta";

    private static Tensor Numbers(string name, params ReadOnlySpan<long> shape) => new CounterStream(3, "adapter", name).Normal(shape.ToArray(), 0, 0.5);

    // A folder as PEFT's, with a pair at one module and other tensors beside it.
    private static string Adapter(Dictionary<string, Tensor> others, params ReadOnlySpan<(string Key, object Value)> config)
    {
        var tensors = others.ToDictionary(pair => "base_model.model." + pair.Key, pair => pair.Value);
        tensors[$"base_model.model.{Query}.lora_A.weight"] = Numbers("A", 2, 12);
        tensors[$"base_model.model.{Query}.lora_B.weight"] = Numbers("B", 12, 2);
        var all = new Dictionary<string, object?> { ["peft_type"] = "LORA", ["r"] = 2, ["lora_alpha"] = 6, ["target_modules"] = new List<string> { "q_proj" } };
        foreach (var (key, value) in config) all[key] = value;
        var folder = Workshop.Scratch("adapter");
        AdapterFolder.Write(folder, all, tensors);
        return folder;
    }

    private static Dictionary<string, Tensor> Merged(string adapter, string model = "base")
    {
        using var plan = Merger.Plan($"merge_method: passthrough\nmodels:\n- model: {Workshop.Golden("models", model)}+{adapter}\n", "test.yaml", Workshop.Strategies.Find, path => path);
        var target = Path.Combine(Workshop.Scratch(), "out");
        new MergeRunner(plan, new MergeOptions()).Write(target);
        return Workshop.Tensors(target);
    }

    private static void Refused(string adapter, string model, params ReadOnlySpan<string> words)
    {
        var message = Assert.Throws<UserErrorException>(() => Merged(adapter, model))!.Message;
        foreach (var word in words) Assert.That(message, Does.Contain(word));
    }

    private static Tensor PairSum(Tensor weight) => weight + Numbers("B", 12, 2).matmul(Numbers("A", 2, 12)) * 3.0;

    // The module in transformers 5, and the tensor in every release's files.
    [TestCase("lm_head")]
    [TestCase("embed_out")]
    public void TheHeadOfGptNeoXHasTwoNames(string module)
    {
        using var scope = torch.NewDisposeScope();
        var (root, folder) = (Workshop.Scratch(), Workshop.Scratch("adapter"));
        Families.Write(root, "base", Families.Config("gpt_neox", "GPTNeoXForCausalLM", 1), [("gpt_neox.embed_in.weight", [6, 4]), ("embed_out.weight", [6, 4]), ("gpt_neox.final_layer_norm.weight", [4]), ("gpt_neox.layers.0.attention.dense.weight", [4, 4])]);
        var (a, b) = (Numbers("A", 2, 4), Numbers("B", 6, 2));
        AdapterFolder.Write(folder, new Dictionary<string, object?> { ["peft_type"] = "LORA", ["r"] = 2, ["lora_alpha"] = 6, ["target_modules"] = new List<string> { module } },
            new Dictionary<string, Tensor> { [$"base_model.model.{module}.lora_A.weight"] = a, [$"base_model.model.{module}.lora_B.weight"] = b });
        var own = Workshop.Tensors(Path.Combine(root, "base"))["embed_out.weight"];
        using var plan = Merger.Plan($"merge_method: passthrough\nmodels:\n- model: {Path.Combine(root, "base")}+{folder}\n", "test.yaml", Workshop.Strategies.Find, path => path);
        var target = Path.Combine(Workshop.Scratch(), "out");
        new MergeRunner(plan, new MergeOptions()).Write(target);
        Compare.Close(module, Workshop.Tensors(target)["embed_out.weight"], own + b.matmul(a) * 3.0, 1e-6, 1e-6);
    }

    [Test]
    public void WhatNoKernelOfOursComputesIsRefusedByName()
    {
        Refused(Adapter([], ("alora_invocation_tokens", new List<object?> { 1L, 2L })), "base", "alora_invocation_tokens", "absent, null or false");
        Refused(Adapter([], ("layer_replication", new List<object?> { new List<object?> { 1L, 3L } })), "base", "layer_replication");
        Assert.That(() => Merged(Adapter([], ("layer_replication", null!), ("use_qalora", false), ("target_parameters", new List<object?>()))), Throws.Nothing);
    }

    // A list is the embedding's; a mapping names a module by its ending.
    [TestCase(false)]
    [TestCase(true)]
    public void RowsOfTrainedTokensStandInTheirPlaces(bool mapped)
    {
        using var scope = torch.NewDisposeScope();
        List<int> ids = [9, 5];
        var adapter = Adapter(new() { [Tokens] = Numbers("rows", 2, 12) }, ("trainable_token_indices", mapped ? (object)new Dictionary<string, object> { ["embed_tokens"] = ids } : ids));
        var (result, origin) = (Merged(adapter), Workshop.Tensors(Workshop.Golden("models", "base")));
        foreach (var (name, tensor) in origin)
        {
            var expected = name == Query + ".weight" ? PairSum(tensor) : tensor.clone();
            if (name == "model.embed_tokens.weight")
                for (var k = 0; k < 2; k++) expected[ids[k]] = Numbers("rows", 2, 12)[k];
            Compare.Close(name, result[name], expected, 1e-6, 1e-6);
        }
    }

    [TestCase(false)]
    [TestCase(true)]
    public void APairAtAnEmbeddingChangesItsRows(bool saved)
    {
        using var scope = torch.NewDisposeScope();
        const string Embedding = "model.embed_tokens";
        var (a, b, own) = (Numbers("EA", 3, 22), Numbers("EB", 12, 3), Numbers("own", 22, 12));
        var tensors = new Dictionary<string, Tensor> { [Embedding + ".lora_embedding_A"] = a, [Embedding + ".lora_embedding_B"] = b };
        if (saved) tensors[Embedding + ".base_layer.weight"] = own; // PEFT saves the base's beside them
        var adapter = Adapter(tensors, ("target_modules", new List<string> { "q_proj", "embed_tokens" }), ("rank_pattern", new Dictionary<string, object> { ["embed_tokens"] = 3 }));
        var (result, origin) = (Merged(adapter), Workshop.Tensors(Workshop.Golden("models", "base")));
        Compare.Close("pair", result[Query + ".weight"], PairSum(origin[Query + ".weight"]), 1e-6, 1e-6);
        Compare.Close("embedding", result[Embedding + ".weight"], (saved ? own : origin[Embedding + ".weight"]) + b.matmul(a).t() * 2.0, 1e-6, 1e-6);
        Compare.Close("head", result["lm_head.weight"], origin["lm_head.weight"], 0, 0);
        var rows = Workshop.Tensors(Workshop.Golden("models", "tied-base"))[Embedding + ".weight"].shape[0];
        tensors[Embedding + ".lora_embedding_A"] = Numbers("EA", 2, rows);
        tensors[Embedding + ".lora_embedding_B"] = Numbers("EB", 12, 2);
        Refused(Adapter(tensors, ("target_modules", new List<string> { "q_proj", "embed_tokens" })), "tied-base", Embedding, "tie_word_embeddings");
    }

    // A base whose table and head have these names; the head is another matrix, or a copy of the table.
    private static string Named(string type, bool? tied, string table, string? head, bool copy, string architecture = "ForCausalLM")
    {
        var (folder, weights) = (Workshop.Scratch("named"), Workshop.Tensors(Workshop.Golden("models", "base")));
        if (weights.Remove("lm_head.weight", out var other) && weights.Remove("model.embed_tokens.weight", out var rows))
        {
            weights[table + ".weight"] = rows;
            weights["score.weight"] = Numbers("score", 1, 12);
            weights["transformer.wpe.weight"] = Numbers("positions", 22, 12);
            if (head is not null) weights[head] = copy ? rows.clone() : other;
        }
        CheckpointFolder.Write(folder, weights);
        var config = JsonNode.Parse(File.ReadAllText(Path.Combine(Workshop.Golden("models", "base"), "config.json")))!.AsObject();
        config["model_type"] = type;
        config["architectures"] = new JsonArray(architecture);
        if (tied is null) config.Remove("tie_word_embeddings");
        else config["tie_word_embeddings"] = tied;
        File.WriteAllText(Path.Combine(folder, "config.json"), config.ToJsonString());
        return folder;
    }

    // Refused where the output head would change with the table, whatever the two are called; and nowhere else.
    [TestCase("bloom", true, "transformer.word_embeddings", null, false, true)]
    [TestCase("bloom", null, "transformer.word_embeddings", null, false, true)]
    [TestCase("gpt_neox", true, "gpt_neox.embed_in", null, false, true)]
    [TestCase("gpt_neox", true, "gpt_neox.embed_in", "embed_out.weight", true, true)]
    [TestCase("llava", true, "language_model.model.embed_tokens", "language_model.lm_head.weight", true, true)]
    [TestCase("gpt_neox", true, "gpt_neox.embed_in", "embed_out.weight", false, false)]
    [TestCase("gpt_neox", null, "gpt_neox.embed_in", null, false, false)]
    [TestCase("llama", false, "model.embed_tokens", null, false, false)]
    [TestCase("llava", false, "language_model.model.embed_tokens", "language_model.lm_head.weight", true, false)]
    [TestCase("gpt2", true, "transformer.wte", null, false, false, "transformer.wpe")]
    public void APairAtATableThatTheHeadSharesIsRefusedByAnyName(string type, bool? tied, string table, string? head, bool copy, bool refused, string? at = null)
    {
        using var scope = torch.NewDisposeScope();
        var (module, model) = (at ?? table, Named(type, tied, table, head, copy));
        var (a, b) = (Numbers("EA", 2, 22), Numbers("EB", 12, 2));
        var adapter = Adapter(new() { [module + ".lora_embedding_A"] = a, [module + ".lora_embedding_B"] = b }, ("target_modules", new List<string> { "q_proj", module[(module.LastIndexOf('.') + 1)..] }));
        if (refused)
        {
            Refused(adapter, model, table, "tie_word_embeddings");
            return;
        }
        var (result, origin) = (Merged(adapter, model), Workshop.Tensors(model));
        Compare.Close("table", result[module + ".weight"], origin[module + ".weight"] + b.matmul(a).t() * 3.0, 1e-6, 1e-6);
        if (head is not null) Compare.Close("head", result[head], origin[head], 0, 0);
    }

    // What PEFT's merge_and_unload gives, or none: it unties, and writes a head of its own.
    [TestCase("bloom", true, "transformer.word_embeddings", null, false, true)]
    [TestCase("falcon", null, "transformer.word_embeddings", null, false, true)]
    [TestCase("gpt_neox", true, "gpt_neox.embed_in", null, false, true)]
    [TestCase("llama", true, "model.embed_tokens", null, false, true)]
    [TestCase("gpt_neox", true, "gpt_neox.embed_in", "embed_out.weight", true, false)]
    [TestCase("gpt_neox", null, "gpt_neox.embed_in", "embed_out.weight", false, false)]
    [TestCase("llama", true, "model.embed_tokens", "lm_head.weight", true, false)]
    [TestCase("llama", false, "model.embed_tokens", null, false, false)]
    [TestCase("qwen2", false, "model.embed_tokens", null, false, false, "Qwen2ForSequenceClassification")]
    [TestCase("qwen2", true, "model.embed_tokens", null, false, false, "Qwen2ForSequenceClassification")]
    [TestCase("bloom", true, "transformer.word_embeddings", null, false, false, "BloomForTokenClassification")]
    public void ATableThatIsTrainedWholeIsMergedWhereNoHeadSharesIt(string type, bool? tied, string table, string? head, bool copy, bool refused, string architecture = "ForCausalLM")
    {
        using var scope = torch.NewDisposeScope();
        var model = Named(type, tied, table, head, copy, architecture);
        var (rows, ends) = (Numbers("table", 22, 12), new List<string> { table[(table.LastIndexOf('.') + 1)..], "score" });
        var (tensors, score) = (new Dictionary<string, Tensor> { [table + ".weight"] = rows, ["score.weight"] = Numbers("trained", 1, 12) }, Numbers("trained", 1, 12));
        if (refused)
        {
            Refused(Adapter(tensors, ("modules_to_save", ends)), model, table, "tie_word_embeddings", "ensure_weight_tying");
            // Trained as one: both names of it.
            tensors["lm_head.weight"] = rows;
            Assert.That(Merged(Adapter(tensors, ("modules_to_save", ends)), model)[table + ".weight"].equal(rows), Is.True);
            tensors["lm_head.weight"] = rows + 1;
            Refused(Adapter(tensors, ("modules_to_save", new List<string>(ends) { "lm_head" })), model, "tie_word_embeddings");
            return;
        }
        var (adapter, origin) = (Adapter(tensors, ("modules_to_save", ends)), Workshop.Tensors(model));
        var result = Merged(adapter, model);
        Assert.That(result[table + ".weight"].equal(rows) && result["score.weight"].equal(score), Is.True);
        if (head is not null) Compare.Close("head", result[head], origin[head], 0, 0);
    }

    [TestCase(true)]
    [TestCase(false)]
    public void APairAtATableOfATiedClassifierIsMerged(bool known)
    {
        using var scope = torch.NewDisposeScope();
        var table = known ? "model.embed_tokens" : "transformer.word_embeddings";
        var model = Named(known ? "qwen2" : "bloom", true, table, null, false, known ? "Qwen2ForSequenceClassification" : "BloomForSequenceClassification");
        var (a, b) = (Numbers("EA", 2, 22), Numbers("EB", 12, 2));
        var adapter = Adapter(new() { [table + ".lora_embedding_A"] = a, [table + ".lora_embedding_B"] = b }, ("target_modules", new List<string> { "q_proj", table.Split('.')[^1] }));
        Compare.Close("table", Merged(adapter, model)[table + ".weight"], Workshop.Tensors(model)[table + ".weight"] + b.matmul(a).t() * 3.0, 1e-6, 1e-6);
    }

    // A reader that ties what the configuration ties would not see a table and a head that differ.
    [TestCase("lm_head.weight")]
    [TestCase("embed_out.weight")]
    public void AHeadThatIsWrittenIsSaidToBeItsOwn(string head)
    {
        using var scope = torch.NewDisposeScope();
        var adapter = Adapter(new() { ["gpt_neox.embed_in.weight"] = Numbers("table", 22, 12) }, ("modules_to_save", new List<string> { "embed_in" }));
        using var plan = Merger.Plan($"merge_method: passthrough\nmodels:\n- model: {Named("gpt_neox", true, "gpt_neox.embed_in", head, true)}+{adapter}\n", "test.yaml", Workshop.Strategies.Find, path => path);
        var target = Path.Combine(Workshop.Scratch(), "out");
        new MergeRunner(plan, new MergeOptions()).Write(target);
        Assert.That(ModelConfig.Open(target).TieWordEmbeddings, Is.False);
    }

    [TestCase("base-llama", "lora-embedding", "model.embed_tokens.weight")]
    [TestCase("base-llama", "dora", "model.layers.0.mlp.down_proj.weight")]
    [TestCase("base-gpt2", "lora-gpt2", "transformer.h.0.mlp.c_fc.weight")]
    [TestCase("base-gpt2", "lora-gpt2-bias", "transformer.h.1.attn.c_attn.bias")]
    [TestCase("base-gpt2", "dora-gpt2", "transformer.h.1.mlp.c_proj.weight")]
    public void FoldersOfPeftAreMergedAsThere(string model, string adapter, string among)
    {
        using var scope = torch.NewDisposeScope();
        using var plan = Merger.Plan($"merge_method: passthrough\nmodels:\n- model: {Checkout.Reference("golden", "peft", model)}+{Checkout.Reference("golden", "peft", adapter)}\n", "test.yaml", Workshop.Strategies.Find, path => path);
        var target = Path.Combine(Workshop.Scratch(), "out");
        new MergeRunner(plan, new MergeOptions()).Write(target);
        var (result, golden) = (Workshop.Tensors(target), Workshop.Tensors(Checkout.Reference("golden", "peft", adapter, "golden.safetensors")));
        var merged = golden.Where(tensor => tensor.Key.StartsWith("merged.", StringComparison.Ordinal)).ToDictionary(tensor => tensor.Key["merged.".Length..], tensor => tensor.Value);
        Assert.That(merged.Keys, Has.Member(among));
        foreach (var (name, tensor) in merged) Compare.Close(name, result[name], tensor, 1e-6, 1e-6);
        foreach (var (name, tensor) in Workshop.Tensors(Checkout.Reference("golden", "peft", model)).Where(own => !merged.ContainsKey(own.Key))) Compare.Close(name, result[name], tensor, 0, 0);
    }

    // PEFT writes three biases of a module that is trained whole beside bias all; the wrapper's is also the module's own there.
    [Test]
    public void ThreeNamesOfABiasAreOne()
    {
        using var scope = torch.NewDisposeScope();
        const string Norm = "transformer.ln_f", Prefix = "base_model.model.";
        var model = Checkout.Reference("golden", "peft", "base-gpt2");
        var origin = Workshop.Tensors(model);
        var (weight, bias) = (origin[Norm + ".weight"] + 1, origin[Norm + ".bias"] + 2);
        using var pairs = SafetensorsFile.Open(Path.Combine(Checkout.Reference("golden", "peft", "lora-gpt2-bias"), "adapter_model.safetensors"));
        var tensors = pairs.Tensors.ToDictionary(tensor => tensor.Name, tensor => pairs.Tensor(tensor.Name));
        (tensors[Prefix + Norm + ".weight"], tensors[Prefix + Norm + ".bias"]) = (weight, bias);
        (tensors[Prefix + Norm + ".modules_to_save.bias"], tensors[Prefix + Norm + ".original_module.bias"]) = (bias, origin[Norm + ".bias"]);
        var folder = Workshop.Scratch("adapter");
        AdapterFolder.Write(folder, new Dictionary<string, object?> { ["peft_type"] = "LORA", ["r"] = 4, ["lora_alpha"] = 8, ["bias"] = "all", ["fan_in_fan_out"] = true, ["target_modules"] = new List<string> { "c_attn" }, ["modules_to_save"] = new List<string> { "ln_f" } }, tensors);
        using var plan = Merger.Plan($"merge_method: passthrough\nmodels:\n- model: {model}+{folder}\n", "test.yaml", Workshop.Strategies.Find, path => path);
        var target = Path.Combine(Workshop.Scratch(), "out");
        new MergeRunner(plan, new MergeOptions()).Write(target);
        var result = Workshop.Tensors(target);
        Assert.That(result[Norm + ".weight"].equal(weight) && result[Norm + ".bias"].equal(bias), Is.True);
    }

    // PEFT goes by each module, whatever the configuration says: it notes false where the last of GPT-2's modules was its head.
    [TestCase("base-gpt2", "lora-gpt2", "false")]
    [TestCase("base-gpt2", "dora-gpt2", "false")]
    [TestCase("base-llama", "lora-all-linear", "true")]
    [TestCase("base-llama", "dora", "true")]
    [TestCase("base-gpt2", "lora-gpt2", "true", "unknown")]
    public void HowAModelStoresItsMatricesIsNotTheAdaptersToSay(string model, string adapter, string said, string? type = null)
    {
        using var scope = torch.NewDisposeScope();
        var (source, folder, origin) = (Checkout.Reference("golden", "peft", adapter), Workshop.Scratch(), Workshop.Scratch());
        File.Copy(Path.Combine(Checkout.Reference("golden", "peft", model), "model.safetensors"), Path.Combine(origin, "model.safetensors"));
        var described = JsonNode.Parse(File.ReadAllText(Path.Combine(Checkout.Reference("golden", "peft", model), "config.json")))!;
        if (type is not null) described["model_type"] = type;
        File.WriteAllText(Path.Combine(origin, "config.json"), described.ToJsonString());
        File.Copy(Path.Combine(source, "adapter_model.safetensors"), Path.Combine(folder, "adapter_model.safetensors"));
        var config = JsonNode.Parse(File.ReadAllText(Path.Combine(source, "adapter_config.json")))!;
        config["fan_in_fan_out"] = JsonNode.Parse(said);
        File.WriteAllText(Path.Combine(folder, "adapter_config.json"), config.ToJsonString());
        using var plan = Merger.Plan($"merge_method: passthrough\nmodels:\n- model: {origin}+{folder}\n", "test.yaml", Workshop.Strategies.Find, path => path);
        var target = Path.Combine(Workshop.Scratch(), "out");
        new MergeRunner(plan, new MergeOptions()).Write(target);
        var (result, golden) = (Workshop.Tensors(target), Workshop.Tensors(Path.Combine(source, "golden.safetensors")).Where(tensor => tensor.Key.StartsWith("merged.", StringComparison.Ordinal)).ToList());
        Assert.That(golden, Is.Not.Empty);
        foreach (var (name, tensor) in golden) Compare.Close(name, result[name["merged.".Length..]], tensor, 1e-6, 1e-6);
    }

    // Weights that are stored (in, out) stay so in a sum, and in what it is merged to; GPT-2's releases lack the prefix.
    [TestCase(false)]
    [TestCase(true)]
    public void SumsOfTransposedPairsStayTransposed(bool released)
    {
        using var scope = torch.NewDisposeScope();
        var (model, adapter, folder) = (Checkout.Reference("golden", "peft", "base-gpt2"), Checkout.Reference("golden", "peft", "lora-gpt2"), Path.Combine(Workshop.Scratch(), "sum"));
        if (released)
        {
            var bare = Workshop.Scratch();
            SafetensorsWriter.Write(Path.Combine(bare, "model.safetensors"), Workshop.Tensors(model).Select(own => KeyValuePair.Create(own.Key["transformer.".Length..], own.Value)), new Dictionary<string, string> { ["format"] = "pt" });
            File.Copy(Path.Combine(model, "config.json"), Path.Combine(bare, "config.json"));
            model = bare;
        }
        LoraSums.Write(model, [adapter, adapter], [0.25, 0.5], folder);
        using var plan = Merger.Plan($"merge_method: passthrough\nmodels:\n- model: {model}+{folder}\n", "test.yaml", Workshop.Strategies.Find, path => path);
        var target = Path.Combine(Workshop.Scratch(), "out");
        new MergeRunner(plan, new MergeOptions()).Write(target);
        var (result, origin, golden) = (Workshop.Tensors(target), Workshop.Tensors(Checkout.Reference("golden", "peft", "base-gpt2")), Workshop.Tensors(Checkout.Reference("golden", "peft", "lora-gpt2", "golden.safetensors")));
        foreach (var name in (string[])["transformer.h.0.attn.c_attn.weight", "transformer.h.1.mlp.c_proj.weight"])
            Compare.Close(name, result[name], origin[name] * 0.25 + golden["merged." + name] * 0.75, 1e-6, 1e-6);
    }

    [Test]
    public void WhatIsNoPlainSumIsNotSummed()
    {
        using var scope = torch.NewDisposeScope();
        foreach (var (model, adapter) in (ValueTuple<string, string>[])[("base-llama", "dora"), ("base-gpt2", "lora-gpt2-bias"), ("base-llama", "pissa-trained")])
            Assert.That(LoraSums.Write(Checkout.Reference("golden", "peft", model), [Checkout.Reference("golden", "peft", adapter), Checkout.Reference("golden", "peft", adapter)], [0.5, 0.5], Path.Combine(Workshop.Scratch(), "sum")), Is.Null, adapter);
    }

    [Test]
    public void LengthsOfDoraThatAreMissingOrOfAnotherModelAreRefused()
    {
        using var scope = torch.NewDisposeScope();
        const string Lengths = Query + ".lora_magnitude_vector";
        Refused(Adapter([], ("use_dora", true)), "base", Lengths, "is missing", "save it again");
        Refused(Adapter(new() { [Lengths] = Numbers("m", 11) }, ("use_dora", true)), "base", Lengths, "[11]", "gives 12 values");
        Refused(Adapter(new() { [Lengths] = Numbers("m", 12) }), "base", Lengths, "belongs to no weight");
        Refused(Adapter(new() { [Lengths] = Numbers("m", 12), ["model.norm.lora_magnitude_vector"] = Numbers("m", 12) }, ("use_dora", true)), "base", "model.norm.lora_magnitude_vector", "belongs to no weight");
        Refused(Adapter([], ("bias", "some")), "base", "bias", "none, all or lora_only");
    }

    [Test]
    public void SumsOfPairsAtAnEmbeddingStayOne()
    {
        using var scope = torch.NewDisposeScope();
        const string Embedding = "base_model.model.model.embed_tokens";
        string Pair(string name) => Adapter(new() { ["model.embed_tokens.lora_embedding_A"] = Numbers(name + "A", 2, 22), ["model.embed_tokens.lora_embedding_B"] = Numbers(name + "B", 12, 2) }, ("target_modules", new List<string> { "q_proj", "embed_tokens" }));
        var folder = Path.Combine(Workshop.Scratch(), "sum");
        Assert.That(LoraSums.Write(Workshop.Golden("models", "base"), [Pair("one"), Pair("two")], [0.25, -2], folder), Is.EqualTo(4));
        using var sum = AdapterFolder.Open(folder);
        var change = sum.Tensor(Embedding + ".lora_embedding_B").matmul(sum.Tensor(Embedding + ".lora_embedding_A"));
        Compare.Close("sum", change, Numbers("oneB", 12, 2).matmul(Numbers("oneA", 2, 22)) * 0.75 - Numbers("twoB", 12, 2).matmul(Numbers("twoA", 2, 22)) * 6.0, 1e-5, 1e-5);
    }

    [Test]
    public void EmbeddingsThatPeftSavesAreTheBases()
    {
        using var scope = torch.NewDisposeScope();
        var (head, embedding) = (Numbers("head", 22, 12), Numbers("embedding", 22, 12));
        var result = Merged(Adapter(new() { ["lm_head.weight"] = head, ["model.embed_tokens.weight"] = embedding }));
        Assert.That(result["lm_head.weight"].equal(head) && result["model.embed_tokens.weight"].equal(embedding), Is.True);
        // Under a pair of its own the base's tensor is called base_layer.
        var own = Numbers("query", 12, 12);
        var wrapped = Merged(Adapter(new() { ["lm_head.weight"] = head, ["lm_head.modules_to_save.weight"] = head, ["lm_head.original_module.weight"] = embedding }, ("modules_to_save", new List<string> { "lm_head" })));
        Assert.That(wrapped["lm_head.weight"].equal(head), Is.True);
        var based = Merged(Adapter(new() { ["model.embed_tokens.token_adapter.base_layer.weight"] = embedding, [Tokens] = Numbers("rows", 1, 12) }, ("trainable_token_indices", new List<int> { 7 })))["model.embed_tokens.weight"];
        Assert.That(based[6].equal(embedding[6]) && based[7].equal(Numbers("rows", 1, 12)[0]), Is.True);
        Compare.Close("base_layer", Merged(Adapter(new() { [Query + ".base_layer.weight"] = own }))[Query + ".weight"], PairSum(own), 1e-6, 1e-6);
    }

    [Test]
    public void BothNamesOfATiedEmbeddingAreOne()
    {
        using var scope = torch.NewDisposeScope();
        var rows = Workshop.Tensors(Workshop.Golden("models", "tied-base"))["model.embed_tokens.weight"].shape[0];
        var (one, other) = (Numbers("one", rows, 12), Numbers("other", rows, 12));
        Assert.That(Merged(Adapter(new() { ["lm_head.weight"] = one, ["model.embed_tokens.weight"] = one }), "tied-base")["model.embed_tokens.weight"].equal(one), Is.True);
        const string Own = ".token_adapter.base_layer.weight", Trained = ".token_adapter.trainable_tokens_delta";
        var rowsOf = Numbers("rows", 1, 12);
        var resized = new Dictionary<string, Tensor> { ["lm_head" + Own] = one, ["model.embed_tokens" + Own] = one, ["lm_head" + Trained] = rowsOf, ["model.embed_tokens" + Trained] = rowsOf };
        var merged = Merged(Adapter(resized, ("trainable_token_indices", new List<int> { 3 })), "tied-base")["model.embed_tokens.weight"];
        Assert.That(merged[3].equal(rowsOf[0]) && merged[4].equal(one[4]), Is.True);
        Refused(Adapter(new() { ["lm_head.weight"] = other, ["model.embed_tokens.weight"] = one }), "tied-base", "lm_head.weight", "belongs to no weight");
        foreach (var name in (string[])["lm_head", "embed_tokens"])
            Refused(Adapter(new() { [name == "lm_head" ? "lm_head.weight" : "model.embed_tokens.weight"] = one }, ("modules_to_save", new List<string> { name })), "tied-base", "tie_word_embeddings", name);
    }

    [Test]
    public void WhatDoesNotFitIsRefusedByName()
    {
        using var scope = torch.NewDisposeScope();
        Refused(Adapter(new() { ["model.embed_tokens.weight"] = Numbers("x", 25, 12) }), "base", "model.embed_tokens.weight", "[25, 12]", "[22, 12]", "adapter merge", "resize_token_embeddings(25)");
        Refused(Adapter(new() { ["model.norm.weight"] = Numbers("x", 13) }), "base", "model.norm.weight", "[13]", "[12]", "another model");
        Refused(Adapter(new() { ["score.weight"] = Numbers("x", 1, 12) }), "base", "score.weight", "belongs to no weight");
        Refused(Adapter(new() { [Query + ".lora_something"] = Numbers("x", 12) }), "base", "lora_something", "belongs to no weight");
        Refused(Adapter(new() { [Tokens] = Numbers("x", 2, 12) }), "base", "trainable_token_indices");
        Refused(Adapter(new() { [Tokens] = Numbers("x", 2, 12) }, ("trainable_token_indices", new List<int> { 5, 22 })), "base", "22 rows", "of which 22 is none");
        Refused(Adapter(new() { [Tokens] = Numbers("x", 3, 12) }, ("trainable_token_indices", new List<int> { 5, 9 })), "base", "[3, 12]", "[2, 12]");
    }
}
