// Prompt and prefix tuning against PEFT: every golden folder's logits, virtual tokens' logits, gradients and files; starts.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models;
using PeftAlign.Models.Adapters;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Peft.Prefix;
using PeftAlign.Peft.Prompt;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Peft.Tests;

public sealed class PromptGoldenTests : ScopedTest
{
    private const double Tolerance = 1e-4;
    private static readonly string[] Folders = ["prompt", "prompt-gpt2", "prefix", "prefix-gpt2", "prefix-projection"];

    [TestCaseSource(nameof(Folders))]
    public void A_folder_of_peft_computes_what_peft_computes(string folder)
    {
        var files = Golden.Adapter(Golden.Path(folder));
        var model = Golden.Base(files);
        var adapter = Registered.ReaderOf(files);
        var sites = Trainable(adapter.Load(model.Outline("base"), files));
        using var golden = Golden.Tensors(folder, "golden.safetensors");
        var before = Golden.Logits(model, ForwardMode.Plain);
        Assert.That(Golden.Distance(Golden.Logits(model, ModuleGoldenTests.Mode(sites)), golden.Tensor("logits")), Is.LessThan(Tolerance));
        if (Golden.Has(golden, "logits_virtual")) Assert.That(Golden.Worst(OfVirtual(model, ModuleGoldenTests.Mode(sites)), golden.Tensor("logits_virtual").select(0, 0)), Is.LessThan(Tolerance));
        foreach (var (off, plain) in Golden.Logits(model, ForwardMode.Plain).Zip(before)) Assert.That(off.equal(plain), "the base's logits changed");
        if (!Golden.Has(golden, "grad.prompt_embeddings")) return;
        var objective = Golden.Objective(model, ModuleGoldenTests.Mode(sites));
        Assert.That(objective.item<float>(), Is.EqualTo((float)Golden.Json(folder, "golden.json")["objective"]!).Within(1e-3));
        objective.backward();
        Near(sites.Single().Delta.Parameters["prompt_embeddings"].grad!, golden.Tensor("grad.prompt_embeddings"), folder);
    }

    [Test]
    public void A_projection_computes_and_learns_as_pefts()
    {
        var files = Golden.Adapter(Golden.Path("prefix-projection"));
        var model = Golden.Base(files);
        using var golden = Golden.Tensors("prefix-projection", "golden.safetensors");
        Tensor Part(string name) => golden.Tensor("encoder." + name).clone().to(TestDevice.Here);
        var trained = new PrefixKV(Part("embedding.weight")) { Projection = new(Part("transform.0.weight"), Part("transform.0.bias"), Part("transform.2.weight"), Part("transform.2.bias")) };
        var sites = Trainable([new AdapterSite(model.Spec.Names.Embedding, trained)]);
        Assert.That(Golden.Worst(Prefixes.Flat((PrefixKV)sites[0].Delta), golden.Tensor("prompt_embeddings")), Is.LessThan(1e-6));
        Assert.That(Golden.Distance(Golden.Logits(model, ModuleGoldenTests.Mode(sites)), golden.Tensor("logits")), Is.LessThan(Tolerance));
        Golden.Objective(model, ModuleGoldenTests.Mode(sites)).backward();
        Assert.That(sites[0].Delta.Parameters, Has.Count.EqualTo(5));
        foreach (var (role, tensor) in sites[0].Delta.Parameters) Near(tensor.grad!, golden.Tensor("grad.encoder." + role), role);
        var saved = Registered.Prefix(new() { PrefixProjection = true }).Save(model.Outline("base"), sites);
        Assert.That(Golden.Worst(saved.Tensors["prompt_embeddings"], golden.Tensor("prompt_embeddings")), Is.LessThan(1e-6));
        Assert.That(saved.Tensors, Has.Count.EqualTo(1));
    }

    [TestCaseSource(nameof(Folders))]
    public void A_folder_written_again_says_the_same(string folder)
    {
        var files = Golden.Adapter(Golden.Path(folder));
        var outline = Golden.Base(files).Outline((string)files.Config["base_model_name_or_path"]!);
        var adapter = Registered.ReaderOf(files);
        var saved = adapter.Save(outline, adapter.Load(outline, files));
        Assert.That(saved.Tensors.Keys, Is.EquivalentTo(files.Tensors.Keys));
        foreach (var (name, tensor) in files.Tensors) Assert.That(saved.Tensors[name].cpu().equal(tensor), name);
        foreach (var (key, value) in saved.Config) Assert.That(value?.ToJsonString() ?? "null", Is.EqualTo(files.Config[key]?.ToJsonString() ?? "null"), key);
    }

    [TestCaseSource(nameof(Folders))]
    public void Weights_cannot_hold_them(string folder)
    {
        var files = Golden.Adapter(Golden.Path(folder));
        var model = Golden.Base(files);
        var sites = Registered.ReaderOf(files).Load(model.Outline("base"), files);
        Assert.That(() => AdapterMerge.Tensors(model, sites), Throws.TypeOf<UserErrorException>().With.Message.Contains("stand before the text"));
    }

    // PEFT writes the base's embedding and head beside prompts too (save_embedding_layers), and loads them into the base.
    [TestCase("prompt")]
    [TestCase("prompt-gpt2")]
    [TestCase("prefix")]
    [TestCase("prefix-gpt2")]
    public void Tables_of_another_base_stand_in_the_models_place(string folder)
    {
        var files = Golden.Adapter(Golden.Path(folder));
        var model = Golden.Base(files);
        var outline = model.Outline("base");
        string[] names = model.Spec.TiedHead ? [model.Spec.Names.Embedding] : [model.Spec.Names.Embedding, model.Spec.Names.Head];
        AdapterFiles With(Func<string, Tensor> table) => files with
        {
            Tensors = new Dictionary<string, Tensor>(files.Tensors.Concat(names.Append("lm_head").Distinct().Select(name => KeyValuePair.Create($"base_model.{name}.weight", table(names.Contains(name) ? name : names[0]))))),
        };
        var plain = Registered.ReaderOf(files).Load(outline, files);
        var same = Registered.ReaderOf(files).Load(outline, With(name => model.Weights[name + ".weight"].clone()));
        Assert.That(same.Single().Delta, Is.TypeOf(plain.Single().Delta.GetType()), "the model's own change nothing");
        var tables = names.ToDictionary(name => name, name => new CounterStream(4, name).Normal(model.Weights[name + ".weight"].shape, 0, 0.3).to(model.Device));
        var reader = Registered.ReaderOf(files);
        var read = reader.Load(outline, With(name => tables[name]));
        Assert.That(read.Sum(site => site.Delta.Parameters.Count), Is.EqualTo(1), "the base's tensors are not trained");
        var ours = Golden.Logits(model, ModuleGoldenTests.Mode(read));
        var back = Golden.Logits(model, ModuleGoldenTests.Mode(Registered.ReaderOf(files).Load(outline, reader.Save(outline, read))));
        var wide = With(name => torch.zeros([tables[name].size(0) + 3, tables[name].size(1)]));
        Assert.That(Assert.Throws<UserErrorException>(() => Registered.ReaderOf(files).Load(outline, wide))!.Message, Does.Contain($"resize_token_embeddings({model.Spec.Vocabulary + 3})").And.Not.Contain("adapter merge"));
        foreach (var (name, table) in tables) model.SetWeight(name + ".weight", table);
        var expected = Golden.Logits(model, ModuleGoldenTests.Mode(plain));
        for (var k = 0; k < ours.Count; k++)
        {
            Assert.That(Golden.Worst(ours[k], expected[k]), Is.LessThan(2e-5));
            Assert.That(Golden.Worst(back[k], expected[k]), Is.LessThan(2e-5));
        }
    }

    private const string Script = """
        import os, sys, torch
        from safetensors.torch import save_file
        from transformers import AutoConfig, AutoModelForCausalLM
        from peft import PrefixTuningConfig, PromptTuningConfig, get_peft_model
        torch.set_num_threads(1)
        torch.manual_seed(3)
        for tied in (False, True):
            for size in (0, 40):
                for kind in (PromptTuningConfig, PrefixTuningConfig):
                    folder = os.path.join(sys.argv[1], f"{kind.__name__}-{tied}-{size}")
                    config = AutoConfig.for_model("llama", vocab_size=37, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
                        num_key_value_heads=2, max_position_embeddings=64, tie_word_embeddings=tied, bos_token_id=1, eos_token_id=2)
                    AutoModelForCausalLM.from_config(config).save_pretrained(os.path.join(folder, "small"))
                    model = AutoModelForCausalLM.from_pretrained(os.path.join(folder, "small")).eval()
                    if size: model.resize_token_embeddings(size)
                    model.save_pretrained(os.path.join(folder, "base"))
                    with torch.no_grad():
                        model.get_input_embeddings().weight.add_(torch.randn(size or 37, 16) * 0.3)
                        if not tied: model.get_output_embeddings().weight.add_(torch.randn(size or 37, 16) * 0.3)
                        adapted = get_peft_model(model, kind(task_type="CAUSAL_LM", num_virtual_tokens=3)).eval()
                        logits = adapted(torch.tensor([[1, 5, 9, 7, 36]])).logits[0][-5:]
                    adapted.save_pretrained(os.path.join(folder, "adapter"), save_embedding_layers=True if size == 0 else "auto")
                    save_file({"logits": logits.contiguous()}, os.path.join(folder, "logits.safetensors"))
        """;

    [Test]
    public void Folders_that_peft_writes_with_tables_give_its_logits()
    {
        var root = Directory.CreateTempSubdirectory("peftalign-peers-").FullName;
        try
        {
            PeersPython.Run(Script, root);
            var folders = Directory.GetDirectories(root);
            Assert.That(folders, Has.Length.EqualTo(8));
            foreach (var folder in folders)
            {
                var model = ModelFolder.Load(Path.Combine(folder, "base"), device: TestDevice.Here);
                var files = Golden.Adapter(Path.Combine(folder, "adapter"));
                Assert.That(files.Tensors.Keys, Has.Member("base_model.model.embed_tokens.weight"), folder);
                var mode = ModuleGoldenTests.Mode(Registered.ReaderOf(files).Load(model.Outline("base"), files));
                using var theirs = SafetensorsFile.Open(Path.Combine(folder, "logits.safetensors"));
                using var off = torch.no_grad();
                var ours = new LogProbEngine(model).Logits([new CompletionGroup([1], [Completion.Of([5, 9, 7, 36, 0])])], mode)[0];
                Assert.That(Golden.Worst(ours, theirs.Tensor("logits")), Is.LessThan(1e-4), Path.GetFileName(folder));
            }
        }
        finally
        {
            Directory.Delete(root, recursive: true);
        }
    }

    [TestCase("prompt", "num_virtual_tokens", "6", "prompt_embeddings")]
    [TestCase("prompt", "num_virtual_tokens", "null", "num_virtual_tokens")]
    [TestCase("prompt", "num_transformer_submodules", "2", "num_transformer_submodules")]
    [TestCase("prompt", "modules_to_save", "[\"lm_head\"]", "modules_to_save")]
    [TestCase("prefix", "num_virtual_tokens", "3", "prompt_embeddings")]
    public void A_folder_that_does_not_fit_is_refused(string folder, string key, string value, string named)
    {
        var files = Golden.Adapter(Golden.Path(folder));
        var model = Golden.Base(files);
        files.Config[key] = JsonNode.Parse(value);
        Assert.That(() => Registered.ReaderOf(files).Load(model.Outline("base"), files), Throws.TypeOf<UserErrorException>().With.Message.Contains(named));
        var extra = Golden.Adapter(Golden.Path(folder));
        var more = extra with { Tensors = new Dictionary<string, Tensor>(extra.Tensors) { ["other"] = torch.zeros(1) } };
        Assert.That(() => Registered.ReaderOf(extra).Load(model.Outline("base"), more), Throws.TypeOf<UserErrorException>().With.Message.Contains("other"));
    }

    [Test]
    public void Starts_are_pefts()
    {
        using var golden = Golden.Tensors("prompt-init", "golden.safetensors");
        var ids = ((JsonArray)Golden.Json("prompt-init", "golden.json")["text_token_ids"]!).Select(id => (int)id!).ToArray();
        var model = Golden.Base(Golden.Adapter(Golden.Path("prompt")));
        var rows = model.Weights["model.embed_tokens.weight"];
        foreach (var count in (int[])[3, 5, 7, 12])
            Assert.That(rows.index_select(0, torch.tensor(PromptStart.Filled(ids, count), device: rows.device)).cpu().equal(golden.Tensor($"text{count}")), $"text{count}");

        Tensor New(PromptOptions options, ulong seed = 1) => ((VirtualTokens)Registered.Prompt(options).Attach(model.Outline("base"), seed).Single().Delta).Values;
        var random = New(new() { NumVirtualTokens = 200 });
        Assert.That(random.mean().item<float>(), Is.EqualTo(0).Within(0.04));
        Assert.That(random.square().mean().item<float>(), Is.EqualTo(1).Within(0.05));
        var sampled = New(new() { NumVirtualTokens = 40, Init = "SAMPLE_VOCAB" });
        for (var k = 0; k < 40; k++) Assert.That((rows - sampled.select(0, k)).abs().sum(1).min().item<float>(), Is.Zero, $"row {k} is a row of the vocabulary");
        Assert.That(sampled.equal(New(new() { NumVirtualTokens = 40, Init = "sample_vocab" })), "both spellings are one, and a seed gives equal rows");
        Assert.That(sampled.equal(New(new() { NumVirtualTokens = 40, Init = "sample_vocab" }, 2)), Is.False);
        Assert.That(() => New(new() { Init = "text" }), Throws.TypeOf<UserErrorException>().With.Message.Contains("init_text"));

        PrefixKV Prefix(PrefixOptions options) => (PrefixKV)Registered.Prefix(options).Attach(model.Outline("base"), 1).Single().Delta;
        Assert.That(Prefix(new() { Init = "zero" }).Values.count_nonzero().item<long>(), Is.Zero);
        Assert.That(Prefixes.Flat(Prefix(new() { Init = "zero", PrefixProjection = true })).count_nonzero().item<long>(), Is.Zero);
        Assert.That(Prefix(new() { NumVirtualTokens = 7 }).Values.shape, Is.EqualTo((long[])[7, 64]));
        // PEFT sets encoder_hidden_size to token_dim where it is not given, after grouped heads have narrowed that.
        var width = model.Spec.KeyValueHeads * model.Spec.HeadWidth;
        var projection = Prefix(new() { PrefixProjection = true }).Projection!;
        Assert.That((width, 2 * model.Spec.Layers * width), Is.EqualTo((16L, 64L)));
        Assert.That((projection.HiddenWeight.shape, projection.OutputWeight.shape), Is.EqualTo(((long[])[width, width], (long[])[64, width])));
    }

    // Gemma's first block takes the embedding's rows times the root of their width, and so does PEFT what it copies from the embedding.
    [Test]
    public void Rows_of_a_scaled_embedding_are_taken_scaled()
    {
        var model = ModelFolder.Load(Checkout.Fixture("architectures", "gemma2"));
        var rows = model.Weights[model.Spec.Names.Embedding + ".weight"].to(torch.float32) * Math.Sqrt(model.Spec.Hidden);
        var sampled = ((VirtualTokens)Registered.Prompt(new() { NumVirtualTokens = 5, Init = "sample_vocab" }).Attach(model.Outline("base"), 1).Single().Delta).Values;
        for (var k = 0; k < 5; k++) Assert.That((rows - sampled.select(0, k)).abs().sum(1).min().item<float>(), Is.LessThan(1e-4), $"row {k}");
    }

    // (m, V) the logits of the virtual tokens alone.
    private static Tensor OfVirtual(DecoderModel model, ForwardMode mode)
    {
        using var off = torch.no_grad();
        using var pack = Pack.Of([new CompletionGroup([1], [Completion.Of([1])])], 100, Place.Of(model), Fronts.Of(model.Spec, mode)).Single();
        var rows = pack.Segments[0].Front.Tokens;
        return model.Forward(pack, mode).narrow(0, 0, rows).mm(model.Head.t());
    }

    private static void Near(Tensor actual, Tensor expected, string what) =>
        Assert.That(Golden.Worst(actual, expected), Is.LessThan(Tolerance * Math.Max(1, expected.abs().max().item<float>())), what);

    private static List<AdapterSite> Trainable(IReadOnlyList<AdapterSite> sites) => [.. sites.Select(s => s with { Delta = s.Delta.With(role => s.Delta.Parameters[role].requires_grad_()) })];
}
