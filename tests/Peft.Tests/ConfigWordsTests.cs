// What words of adapter_config.json mean: starts in other cases, expressions with groups, blocks that no model has. PEFT itself beside
// them where there is a Python with it; what it refuses is refused in one line.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models.Adapters;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Peft.Lora;
using PeftAlign.Torch;

namespace PeftAlign.Peft.Tests;

public sealed class ConfigWordsTests : ScopedTest
{
    // Options of LoraConfig beside rank 4 and alpha 6.
    private static readonly Dictionary<string, string> Cases = new()
    {
        ["olora-in-capitals"] = """{"init_lora_weights": "OLoRA", "target_modules": ["q_proj", "down_proj"]}""",
        ["gaussian-in-capitals"] = """{"init_lora_weights": "Gaussian", "target_modules": ["q_proj"]}""",
        ["eva"] = """{"init_lora_weights": "eva", "target_modules": ["q_proj"]}""",
        ["orthogonal"] = """{"init_lora_weights": "orthogonal", "target_modules": ["q_proj"]}""",
        ["mica"] = """{"init_lora_weights": "mica", "target_modules": ["q_proj", "embed_tokens"]}""",
        ["mica-in-capitals"] = """{"init_lora_weights": "MICA", "target_modules": ["q_proj"]}""",
        ["pattern-with-a-group"] = """{"target_modules": ["q_proj"], "layers_to_transform": [1], "layers_pattern": ["(layers)"]}""",
        ["pattern-with-a-named-group"] = """{"target_modules": ["q_proj"], "layers_to_transform": [1], "layers_pattern": ["(?P<z>layers)"]}""",
        ["pattern-that-is-empty"] = """{"target_modules": ["q_proj"], "layers_to_transform": [1], "layers_pattern": ""}""",
        ["patterns-of-which-one-is"] = """{"target_modules": ["q_proj"], "layers_to_transform": [0], "layers_pattern": ["h", "lay[a-z]*"]}""",
        ["targets-with-a-named-group"] = """{"target_modules": ".*\\.(?P<n>1)\\..*(?P<p>q|v)_proj"}""",
        ["a-block-far-away"] = """{"target_modules": ["q_proj"], "layers_to_transform": [0, 1000000000000]}""",
    };

    private const string Script = """
        import json, os, sys, warnings, torch
        from safetensors.torch import load_file, save_file
        from transformers import AutoModelForCausalLM
        from peft import LoraConfig, PeftModel, get_peft_model
        warnings.simplefilter("ignore")
        torch.set_num_threads(1)
        root = sys.argv[1]
        base, inputs = open(os.path.join(root, "base")).read(), load_file(open(os.path.join(root, "inputs")).read())
        plain = lambda: AutoModelForCausalLM.from_pretrained(base, attn_implementation="eager").eval()
        for name, options in json.load(open(os.path.join(root, "cases.json"))).items():
            torch.manual_seed(3)
            folder = os.path.join(root, name)
            model = get_peft_model(plain(), LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=6, **options))
            trained = [n.removesuffix(".weight").replace(".default", "").removeprefix("base_model.model.") for n, p in model.named_parameters() if p.requires_grad]
            with torch.no_grad():
                for n, p in model.named_parameters():
                    if "lora_" in n: p.add_(torch.randn_like(p) * 0.2)
            model.save_pretrained(folder, save_embedding_layers=False)
            again = PeftModel.from_pretrained(plain(), folder).eval()
            with torch.no_grad(): logits = again(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits
            save_file({"logits": logits.contiguous()}, os.path.join(folder, "logits.safetensors"))
            json.dump(trained, open(os.path.join(folder, "trained.json"), "w"))
        """;

    [Test]
    public void Peft_computes_and_trains_the_same()
    {
        var root = Directory.CreateTempSubdirectory("peftalign-peers-").FullName;
        try
        {
            File.WriteAllText(Path.Combine(root, "base"), Golden.Path("base-llama"));
            File.WriteAllText(Path.Combine(root, "inputs"), Golden.Path("inputs.safetensors"));
            File.WriteAllText(Path.Combine(root, "cases.json"), new JsonObject(Cases.Select(c => KeyValuePair.Create(c.Key, JsonNode.Parse(c.Value)))).ToJsonString());
            PeersPython.Run(Script, root);
            foreach (var name in Cases.Keys) Compare(Path.Combine(root, name), name);
        }
        finally
        {
            Directory.Delete(root, recursive: true);
        }
    }

    private static void Compare(string folder, string name)
    {
        using var scope = torch.NewDisposeScope();
        var files = Golden.Adapter(folder);
        var model = Models.ModelFolder.Load(Golden.Path("base-llama"), device: TestDevice.Here);
        var adapter = Registered.Lora();
        var sites = adapter.Load(model.Outline("base"), files);
        using var theirs = SafetensorsFile.Open(Path.Combine(folder, "logits.safetensors"));
        Assert.That(Golden.Distance(Golden.Logits(model, ModuleGoldenTests.Mode(sites)), theirs.Tensor("logits")), Is.LessThan(1e-4), name);
        var trained = JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "trained.json")))!.AsArray().Select(n => (string)n!);
        Assert.That(sites.SelectMany(s => s.Delta.Parameters.Keys.Select(role => $"{s.Module}.{(s.Module.Contains("embed", StringComparison.Ordinal) ? role.Replace("lora_", "lora_embedding_", StringComparison.Ordinal) : role)}")), Is.EquivalentTo(trained), name);
        // Written again it is the same adapter for the next training too.
        if (files.Config["init_lora_weights"] is JsonValue init && init.TryGetValue<string>(out var text) && text == "mica") Assert.That((string?)adapter.Save(model.Outline("base"), sites).Config["init_lora_weights"], Is.EqualTo("mica"));
    }

    private static AdapterFiles New(LoraOptions options, string key, JsonNode? value)
    {
        var (outline, adapter) = (Golden.Base(Golden.Adapter(Golden.Path("lora"))).Outline("base"), Registered.Lora(options));
        var files = adapter.Save(outline, adapter.Attach(outline, 1));
        files.Config[key] = value;
        return files;
    }

    private static IReadOnlyList<AdapterSite> Read(AdapterFiles files) => Registered.Lora().Load(Golden.Base(Golden.Adapter(Golden.Path("lora"))).Outline("base"), files);

    private static string Refused(AdapterFiles files) => Assert.Throws<UserErrorException>(() => Read(files))!.Message;

    [TestCase("PISSA")]
    [TestCase("Eva")]
    [TestCase("xyz")]
    [TestCase("true")]
    [TestCase("corda")]
    [TestCase("loftq")]
    [TestCase("pissa_niter_4")]
    [TestCase("pissa_4")]
    public void A_start_that_is_none_or_cannot_be_made_again_is_refused(string init) =>
        Assert.That(Refused(New(new() { Targets = ["q_proj"] }, "init_lora_weights", init)), Does.Contain($"init_lora_weights is \"{init}\"").And.Contain("olora"));

    [Test]
    public void An_olora_in_capitals_is_subtracted_and_other_starts_are_not()
    {
        foreach (var (init, isSubtracted) in (ReadOnlySpan<(string, bool)>)[("OLORA", true), ("olora", true), ("pissa", true), ("GAUSSIAN", false), ("lora_ga", false), ("", false), ("MiCA", false)])
            Assert.That(((LowRank)Read(New(new() { Targets = ["q_proj"] }, "init_lora_weights", init))[0].Delta).Start is not null, Is.EqualTo(isSubtracted), init);
    }

    [Test]
    public void Of_a_mica_folder_a_alone_is_trained()
    {
        var sites = Read(New(new() { Targets = ["q_proj"] }, "init_lora_weights", "mica"));
        Assert.That(sites.SelectMany(s => s.Delta.Parameters.Keys).Distinct(), Is.EqualTo(new[] { "lora_A" }));
        var low = (LowRank)sites[0].Delta;
        Assert.That(((LowRank)low.With(role => role == "lora_A" ? low.A : throw new ArgumentException(role))).B, Is.SameAs(low.B));
    }

    private static IReadOnlyList<AdapterSite> Attached(LoraOptions options, string base_ = "lora") => Registered.Lora(options).Attach(Golden.Base(Golden.Adapter(Golden.Path(base_))).Outline("base"), 1);

    private static string NotMade(LoraOptions options, string base_ = "lora") => Assert.Throws<UserErrorException>(() => Attached(options, base_))!.Message;

    [TestCase("(layers)")]
    [TestCase("(?P<z>layers)")]
    [TestCase("(?P<z>l)ayer[s](?:)")]
    [TestCase("lay(e)(r)s")]
    public void Groups_of_a_layers_pattern_are_its_own(string pattern) =>
        Assert.That(Attached(new() { Targets = ["q_proj"], LayersToTransform = [1], LayersPattern = [pattern] }).Select(s => s.Module), Is.EqualTo(new[] { "model.layers.1.self_attn.q_proj" }));

    [Test]
    public void A_layers_pattern_that_is_none_is_refused_in_our_words()
    {
        Assert.That(NotMade(new() { Targets = ["q_proj"], LayersToTransform = [1], LayersPattern = ["lay("] }), Does.Contain("layers_pattern").And.Contain("'lay('").And.Contain("no regular expression"));
        Assert.That(NotMade(new() { Targets = ["q_proj"], LayersToTransform = [1], LayersPattern = [@"((?=[a-z.]*)([a-z._0-9]+)*)*X"] }), Does.Contain("takes longer than 1 s"));
        Assert.That(NotMade(new() { Targets = ["q_proj"], LayersPattern = ["layers"] }), Does.Contain("layers_pattern [layers]").And.Contain("layers_to_transform names no block"));
    }

    [Test]
    public void Named_groups_of_targets_are_pythons()
    {
        Assert.That(Attached(new() { Targets = [@".*\.(?P<n>1)\..*(?P<p>[(?P<]|q|v)_proj"] }).Select(s => s.Module), Is.EquivalentTo(new[] { "model.layers.1.self_attn.q_proj", "model.layers.1.self_attn.v_proj" }));
        Assert.That(Attached(new() { Targets = [@".*(?P<l>l)ayers\.1.*mode(?P=l)?.*q_proj|(?P<m>m)ode.*\.0\..*_attn\.q_proj"] }).Select(s => s.Module), Is.EqualTo(new[] { "model.layers.0.self_attn.q_proj" }));
        Assert.That(NotMade(new() { Targets = ["(?P<n>q_proj"] }), Does.Contain("(?P<n>q_proj").And.Contain("no regular expression"));
    }

    [Test]
    public void A_folder_with_a_layers_pattern_is_read_as_peft_reads_it()
    {
        LoraOptions one = new() { Targets = ["q_proj"], LayersToTransform = [1] };
        Assert.That(Read(New(one, "layers_pattern", new JsonArray("(layers)"))), Has.Count.EqualTo(1));
        Assert.That(Read(New(one, "layers_pattern", "")), Has.Count.EqualTo(1));
        Assert.That(Read(New(one, "layers_to_transform", new JsonArray(1, 1000000000000L))), Has.Count.EqualTo(1));
        // Alternatives are the whole expression's: the first one says no number.
        Assert.That(Refused(New(one, "layers_pattern", "mod|layers")), Does.Contain("'mod|layers'").And.Contain("without a block's number").And.Contain("(mod|layers)"));
        Assert.That(NotMade(new() { Targets = ["q_proj"], LayersToTransform = [1], LayersPattern = ["mod|layers"] }), Does.Contain("Write (mod|layers)"));
        Assert.That(Refused(New(one, "layers_pattern", "h")), Does.Contain("layers_pattern and modules_to_save leave none"));
        // Of former versions: without numbers it says nothing, and is not written again.
        var (outline, adapter) = (Golden.Base(Golden.Adapter(Golden.Path("lora"))).Outline("base"), Registered.Lora());
        foreach (var lone in (JsonNode[])["layers", new JsonArray("layers"), "mod|layers"])
        {
            var sites = adapter.Load(outline, New(new() { Targets = ["q_proj"] }, "layers_pattern", lone));
            Assert.That((sites.Count, adapter.Save(outline, sites).Config["layers_pattern"]), Is.EqualTo((2, (JsonNode?)null)));
        }
        Assert.That(Read(New(new() { Targets = [".*q_proj"] }, "layers_pattern", "layers")), Has.Count.EqualTo(2));
        Assert.That(Read(New(new() { Targets = [".*q_proj"] }, "layers_pattern", new JsonArray())), Has.Count.EqualTo(2));
    }

    [Test]
    public void Whole_numbers_are_of_the_width_that_is_asked_for()
    {
        var config = new JsonObject { ["one"] = new JsonArray(1, -2), ["two"] = new JsonArray(1, 3_000_000_000L) };
        Assert.That((AdapterConfig.Wholes(config, "one"), AdapterConfig.LongWholes(config, "two")), Is.EqualTo((new[] { 1, -2 }, new[] { 1L, 3_000_000_000L })));
        Assert.That(Assert.Throws<UserErrorException>(() => AdapterConfig.Wholes(config, "two"))!.Message, Does.Contain("two is 3000000000; it must be whole numbers of 32 bits"));
    }

    [Test]
    public void A_change_of_a_head_that_is_the_embedding_is_refused_by_its_name()
    {
        var outline = Golden.Base(Golden.Adapter(Golden.Path("lora-gpt2"))).Outline("base");
        Assert.That(outline.Spec!.TiedHead);
        foreach (var target in (string[])["lm_head", ".*(c_attn|head)"])
            Assert.That(NotMade(new() { Targets = [target] }, "lora-gpt2"), Does.Contain("lm_head").And.Contain("tie_word_embeddings").And.Contain("exclude_modules"));
        Assert.That(Attached(new() { Targets = [".*(c_attn|head)"], ExcludeModules = ["lm_head"] }, "lora-gpt2"), Has.Count.EqualTo(outline.Modules.Count(m => m.Name.EndsWith("c_attn", StringComparison.Ordinal))));
        var files = Golden.Adapter(Golden.Path("lora-gpt2"));
        var tensors = new Dictionary<string, Tensor>(files.Tensors) { ["base_model.model.lm_head.lora_A.weight"] = torch.zeros(4, 32), ["base_model.model.lm_head.lora_B.weight"] = torch.zeros(96, 4) };
        Assert.That(Assert.Throws<UserErrorException>(() => Registered.Lora().Load(outline, files with { Tensors = tensors }))!.Message, Does.Contain("lm_head").And.Contain("tie_word_embeddings"));
    }

    [Test]
    public void A_placement_means_nothing_beside_targets()
    {
        var outline = Golden.Base(Golden.Adapter(Golden.Path("lora"))).Outline("base");
        Assert.That(Assert.Throws<UserErrorException>(() => Registered.Bottleneck(new() { Placement = "pfeiffer", Targets = ["q_proj"] }).Attach(outline, 1))!.Message, Does.Contain("placement pfeiffer").And.Contain("[q_proj]"));
        Assert.That(Registered.Bottleneck(new() { Placement = "pfeiffer" }).Attach(outline, 1), Has.Count.EqualTo(2));
    }
}
