// peftalign adapter at its command line: what it writes can be read again, what it cannot do it says and writes nothing.

using System.Text.Json.Nodes;
using PeftAlign.Host.CommandLine;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Torch;

namespace PeftAlign.Host.Tests;

public class AdapterCommandTests
{
    private string folder = "";

    [SetUp]
    public void MakeFolder()
    {
        folder = Directory.CreateTempSubdirectory("peftalign-adapters-").FullName;
        foreach (var plugin in (string[])["Peft.Lora", "Peft.IA3"])
        {
            var built = Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "..", "..", plugin, Path.GetFileName(Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory))));
            var copy = Directory.CreateDirectory(Path.Combine(folder, "plugins", plugin)).FullName;
            foreach (var file in Directory.GetFiles(built)) File.Copy(file, Path.Combine(copy, Path.GetFileName(file)));
        }
    }

    [TearDown]
    public void Remove() => Directory.Delete(folder, recursive: true);

    private static string Fixture(string name) => Checkout.Fixture("peft", name);

    private (int Code, string Out, string Err) Run(params string[] args)
    {
        using var results = new StringWriter();
        using var remarks = new StringWriter();
        var code = new Dispatcher(Catalogue.Commands, results, remarks).RunAsync(["adapter", .. args, .. args[0] == "info" ? (string[])[] : ["--plugins", Path.Combine(folder, "plugins")]]).GetAwaiter().GetResult();
        return (code, results.ToString(), remarks.ToString());
    }

    [Test]
    public void An_adapter_is_described()
    {
        var (code, text, _) = Run("info", Fixture("lora-patterns"), "--json");
        var found = JsonNode.Parse(text)!;
        Assert.That((code, (string)found["peft_type"]!, (long)found["parameters"]!), Is.EqualTo((0, "LORA", 5104L)));
        Assert.That(found["tensors"]!.AsArray(), Has.Count.EqualTo(17));
        Assert.That(Run("info", Fixture("prompt")).Out, Does.Contain("PROMPT_TUNING, 160 parameters").And.Contain("num_virtual_tokens"));
        Assert.That(Run("info", folder), Is.EqualTo((2, "", $"peftalign: {folder}: has no adapter_config.json; give an adapter folder in PEFT's format{Environment.NewLine}")));
    }

    [TestCase("dora", null)]
    [TestCase("lora-patterns", "bfloat16")]
    public void Merged_weights_are_pefts_in_the_type_that_is_asked_for(string adapter, string? dtype)
    {
        using var scope = torch.NewDisposeScope();
        var target = Path.Combine(folder, "merged");
        var (code, text, err) = Run(["merge", "--model", Fixture("base-llama"), "--adapter", Fixture(adapter), "--out", target, "--json", "--threads", "1", .. dtype is null ? [] : (string[])["--dtype", dtype]]);
        Assert.That(code, Is.EqualTo(0), err);
        using var golden = SafetensorsFile.Open(Path.Combine(Fixture(adapter), "golden.safetensors"));
        using var merged = CheckpointFolder.Open(target);
        using var plain = CheckpointFolder.Open(Fixture("base-llama"));
        var changed = golden.Tensors.Where(t => t.Name.StartsWith("merged.", StringComparison.Ordinal)).Select(t => t.Name["merged.".Length..]).ToHashSet();
        Assert.That((int)JsonNode.Parse(text)!["changed"]!, Is.EqualTo(changed.Count));
        var type = dtype is null ? torch.float32 : torch.bfloat16;
        foreach (var name in plain.Names)
        {
            Assert.That(merged.Tensor(name).dtype, Is.EqualTo(type));
            if (!changed.Contains(name)) Assert.That(merged.Tensor(name).equal(plain.Tensor(name).to(type)), name);
            else Assert.That((merged.Tensor(name).to(torch.float32) - golden.Tensor("merged." + name)).abs().max().item<float>(), Is.LessThan(dtype is null ? 2e-6 : 2e-2), name);
        }
        Assert.That(File.ReadAllText(Path.Combine(target, "config.json")), Does.Contain(dtype ?? "float32"));
    }

    [Test]
    public void A_classifiers_adapter_is_not_merged_into_a_language_model()
    {
        var (adapter, target) = (Path.Combine(folder, "scores"), Path.Combine(folder, "merged"));
        Directory.CreateDirectory(adapter);
        foreach (var file in (string[])["adapter_config.json", "adapter_model.safetensors"]) File.Copy(Path.Combine(Fixture("lora"), file), Path.Combine(adapter, file));
        var config = JsonNode.Parse(File.ReadAllText(Path.Combine(adapter, "adapter_config.json")))!.AsObject();
        config["task_type"] = "SEQ_CLS";
        File.WriteAllText(Path.Combine(adapter, "adapter_config.json"), config.ToJsonString());
        var (code, _, err) = Run("merge", "--model", Fixture("base-llama"), "--adapter", adapter, "--out", target, "--threads", "1");
        Assert.That((code, err.Trim().Contains('\n')), Is.EqualTo((2, false)), err);
        Assert.That(err, Does.Contain("is a sequence classifier's adapter").And.Contain("is a language model"));
        Assert.That(Directory.Exists(target), Is.False);
        Assert.That(Run("merge", "--help").Out, Does.Contain("default: each weight keeps its type"));
    }

    [Test]
    public void Adapters_are_combined()
    {
        var target = Path.Combine(folder, "both");
        string[] both = ["combine", "--adapter", Fixture("pair-a"), "--adapter", Fixture("pair-b"), "--threads", "1"];
        Assert.That(Run([.. both, "--type", "cat", "--weights", "0.7,-0.6", "--out", target]).Code, Is.EqualTo(0));
        using (var combined = AdapterFolder.Open(target)) Assert.That(combined.Rank, Is.EqualTo(8));
        Assert.That(Run([.. both, "--out", target]).Err, Does.Contain("is there and not empty"));
        var other = Path.Combine(folder, "other");
        Assert.That(Run([.. both, "--weights", "1", "--out", other]).Err, Does.Contain("give one for each"));
        Assert.That(Run([.. both, "--type", "ties", "--out", other]).Err, Does.Contain("density"));
        Assert.That(Run("combine", "--adapter", Fixture("pair-a"), "--adapter", Fixture("ia3"), "--out", other).Err, Does.Contain("LORA, IA3"));
        Assert.That(Directory.Exists(other), Is.False);
    }

    [Test]
    public void Targets_that_the_model_lacks_are_told()
    {
        var wide = Path.Combine(folder, "wide");
        Directory.CreateDirectory(wide);
        foreach (var file in (string[])["adapter_config.json", "adapter_model.safetensors"]) File.Copy(Path.Combine(Fixture("dora"), file), Path.Combine(wide, file));
        var config = JsonNode.Parse(File.ReadAllText(Path.Combine(wide, "adapter_config.json")))!.AsObject();
        config["target_modules"]!.AsArray().Add("query_key_value");
        File.WriteAllText(Path.Combine(wide, "adapter_config.json"), config.ToJsonString());
        var (code, _, err) = Run("merge", "--model", Fixture("base-llama"), "--adapter", wide, "--out", Path.Combine(folder, "merged"), "--threads", "1");
        Assert.That((code, err), Is.EqualTo((0, $"warning: {wide}: target_modules names query_key_value, which no module of the model is called.{Environment.NewLine}")));
    }

    // Former versions wrote such folders.
    [TestCase("[\"layers\"]", null, true)]
    [TestCase("\"layers\"", "[]", true)]
    [TestCase("[]", null, false)]
    [TestCase("\"\"", null, false)]
    public void A_layers_pattern_without_numbers_is_told_and_passed_over(string pattern, string? layers, bool told)
    {
        var (lone, target) = (Path.Combine(folder, "lone"), Path.Combine(folder, "merged"));
        Directory.CreateDirectory(lone);
        foreach (var file in (string[])["adapter_config.json", "adapter_model.safetensors"]) File.Copy(Path.Combine(Fixture("dora"), file), Path.Combine(lone, file));
        var config = JsonNode.Parse(File.ReadAllText(Path.Combine(lone, "adapter_config.json")))!.AsObject();
        (config["layers_pattern"], config["layers_to_transform"]) = (JsonNode.Parse(pattern), layers is null ? null : JsonNode.Parse(layers));
        File.WriteAllText(Path.Combine(lone, "adapter_config.json"), config.ToJsonString());
        var (code, _, err) = Run("merge", "--model", Fixture("base-llama"), "--adapter", lone, "--out", target, "--threads", "1");
        Assert.That(code, Is.Zero, err);
        Assert.That(err, told ? Does.StartWith("warning: ").And.Contain($"layers_pattern is {pattern}, and layers_to_transform names no block") : Is.Empty);
    }

    // What resize_token_embeddings, PeftModel and merge_and_unload leave; the rows that were added are tokens of the adapter's tokenizer alone.
    [TestCase(true)]
    [TestCase(false)]
    public void Tables_that_grew_are_merged_with_their_tokenizer(bool own)
    {
        using var scope = torch.NewDisposeScope();
        var (adapter, target) = (Path.Combine(folder, "grown"), Path.Combine(folder, "merged"));
        using (var lora = AdapterFolder.Open(Fixture("lora")))
            AdapterFolder.Write(adapter, lora.Config.EnumerateObject().ToDictionary(p => p.Name, p => (object?)p.Value.Clone()),
                lora.Names.Select(name => KeyValuePair.Create(name, lora.Tensor(name)))
                    .Concat(((string[])["model.embed_tokens", "lm_head"]).Select(name => KeyValuePair.Create($"base_model.model.{name}.weight", torch.full([99, 32], name.Length)))));
        if (own) File.WriteAllText(Path.Combine(adapter, "tokenizer.json"), "{}");
        var (code, text, err) = Run("merge", "--model", Fixture("base-llama"), "--adapter", adapter, "--out", target, "--threads", "1", "--json");
        Assert.That(code, Is.Zero, err);
        Assert.That(err, Does.Contain("of 99 rows (the base has 96)").And.Contain(own ? "the tokenizer is the adapter's" : $"the tokenizer is the base's, since {adapter} has none"));
        Assert.That(File.Exists(Path.Combine(target, "tokenizer.json")), Is.EqualTo(own));
        using var merged = CheckpointFolder.Open(target);
        Assert.That((ModelConfig.Open(target).VocabularySize, merged.Find("lm_head.weight").Shape[0], merged.Tensor("model.embed_tokens.weight").mean().item<float>()), Is.EqualTo((99, 99L, 18f)));
        using var golden = SafetensorsFile.Open(Path.Combine(Fixture("lora"), "golden.safetensors"));
        Assert.That((int)JsonNode.Parse(text)!["changed"]!, Is.EqualTo(golden.Tensors.Count(t => t.Name.StartsWith("merged.", StringComparison.Ordinal)) + 2));
    }

    [Test]
    public void An_adapter_of_another_model_is_refused()
    {
        var target = Path.Combine(folder, "merged");
        var wrong = Path.Combine(folder, "wrong");
        using (var scope = torch.NewDisposeScope())
        {
            AdapterFolder.Write(wrong, new Dictionary<string, object?> { ["peft_type"] = "LORA", ["r"] = 2, ["lora_alpha"] = 2, ["target_modules"] = (string[])["q_proj"] },
                Enumerable.Range(0, 2).SelectMany(l => new[] { ("A", new long[] { 2, 16 }), ("B", [16, 2]) }.Select(p => KeyValuePair.Create($"base_model.model.model.layers.{l}.self_attn.q_proj.lora_{p.Item1}.weight", torch.ones(p.Item2)))));
        }
        var (code, _, err) = Run("merge", "--model", Fixture("base-llama"), "--adapter", wrong, "--out", target, "--threads", "1");
        Assert.That((code, Directory.Exists(target)), Is.EqualTo((2, false)));
        Assert.That(err, Does.Contain("[2, 16]").And.Contain("[2, 32]"));
    }
}
