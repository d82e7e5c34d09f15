// The base's own embedding and head in LoRA's and IA3's folders: PEFT writes them where they are targets or the vocabulary was resized, and loads
// them into the base again.

using PeftAlign.Abstractions;
using PeftAlign.Models;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Peft.Lora;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Peft.Tests;

public sealed class SavedBaseTests : ScopedTest
{
    private const string Prefix = "base_model.model.";

    private static readonly string[] Llama = ["base_layer of model.embed_tokens", "base_layer of lm_head", "weight of model.embed_tokens", "weight of lm_head", "token_adapter.base_layer of model.embed_tokens"];

    private static LoraPart Part(string name) => name.Split(" of ") is [var part, var module] ? new(module, part == "weight" ? $"{Prefix}{module}.weight" : $"{Prefix}{module}.{part}.weight", part) : throw new ArgumentException(name);

    private sealed record LoraPart(string Module, string Tensor, string Kind);

    // A trained folder as it is without such tensors, and its adapter.
    private static (DecoderModel Model, ModelOutline Outline, AdapterFiles Files) Trained(string baseName, LoraOptions options)
    {
        var model = ModelFolder.Load(Golden.Path(baseName), device: TestDevice.Here);
        var (outline, adapter) = (model.Outline(baseName), Registered.Lora(options));
        var sites = adapter.Attach(outline, 1);
        using (torch.no_grad())
            foreach (var site in sites)
                foreach (var (role, tensor) in site.Delta.Parameters) tensor.add_(new CounterStream(9, role, site.Module).Normal(tensor.shape, 0, 0.1));
        return (model, outline, adapter.Save(outline, sites));
    }

    private static LoraOptions Options(LoraPart part) => part.Kind switch
    {
        "base_layer" => new() { Targets = ["q_proj", part.Module] },
        "token_adapter.base_layer" => new() { Targets = ["q_proj"], TrainableTokens = [5, 2] },
        _ => new() { Targets = ["q_proj"] },
    };

    private static AdapterFiles With(AdapterFiles files, params ReadOnlySpan<(string Name, Tensor Tensor)> more)
    {
        var tensors = files.Tensors.ToDictionary();
        foreach (var (name, tensor) in more) tensors[name] = tensor;
        return files with { Tensors = tensors };
    }

    private static List<Tensor> Logits(DecoderModel model, IReadOnlyList<AdapterSite> sites) => Golden.Logits(model, ModuleGoldenTests.Mode(sites));

    [TestCaseSource(nameof(Llama))]
    public void A_table_that_is_the_models_changes_nothing(string name)
    {
        var part = Part(name);
        var (model, outline, files) = Trained("base-llama", Options(part));
        var read = Registered.Lora().Load(outline, With(files, (part.Tensor, model.Weights[part.Module + ".weight"].clone())));
        Assert.That(read.Select(s => (s.Module, s.Delta.GetType())), Is.EqualTo(Registered.Lora().Load(outline, files).Select(s => (s.Module, s.Delta.GetType()))));
    }

    [TestCaseSource(nameof(Llama))]
    public void A_table_of_another_base_stands_in_the_models_place_untrained(string name)
    {
        var part = Part(name);
        var (model, outline, files) = Trained("base-llama", Options(part));
        var plain = Registered.Lora().Load(outline, files);
        var table = new CounterStream(4, "table").Normal(model.Weights[part.Module + ".weight"].shape, 0, 0.3).to(model.Device);
        var adapter = Registered.Lora();
        var read = adapter.Load(outline, With(files, (part.Tensor, table)));
        Assert.That(read.SelectMany(s => s.Delta.Parameters.Values).Count(), Is.EqualTo(plain.SelectMany(s => s.Delta.Parameters.Values).Count()), "the base's tensors are not trained");
        var again = adapter.Save(outline, read);
        Assert.That(again.Tensors[part.Tensor].equal(table), Is.True, "and are written again");
        var ours = Logits(model, read);
        var back = Logits(model, Registered.Lora().Load(outline, again));
        var merged = Golden.Logits(AdapterMerge.Merged(model, [read]), ForwardMode.Plain);
        model.SetWeight(part.Module + ".weight", table);
        var expected = Logits(model, plain);
        for (var k = 0; k < ours.Count; k++)
        {
            Assert.That(Golden.Worst(ours[k], expected[k]), Is.LessThan(2e-5));
            Assert.That(Golden.Worst(back[k], expected[k]), Is.LessThan(2e-5));
            Assert.That(Golden.Worst(merged[k], expected[k]), Is.LessThan(1e-4));
        }
    }

    [TestCase(false)]
    [TestCase(true)]
    public void A_head_that_shares_the_embedding_follows_it(bool tokens)
    {
        const string Embedding = "transformer.wte";
        var (model, outline, files) = Trained("base-gpt2", new() { Targets = ["c_attn"], TrainableTokens = tokens ? [5, 2] : [] });
        var plain = Registered.Lora().Load(outline, files);
        var table = new CounterStream(4, "table").Normal(model.Weights[Embedding + ".weight"].shape, 0, 0.3).to(model.Device);
        var part = tokens ? ".token_adapter.base_layer.weight" : ".weight";
        var both = With(files, (Prefix + Embedding + part, table), (Prefix + "lm_head" + part, table));
        if (tokens) both = With(both, (Prefix + "lm_head.token_adapter.trainable_tokens_delta", both.Tensors[Prefix + Embedding + ".token_adapter.trainable_tokens_delta"]));
        var read = Registered.Lora().Load(outline, both);
        var ours = Logits(model, read);
        var merged = Golden.Logits(AdapterMerge.Merged(model, [read]), ForwardMode.Plain);
        model.SetWeight(Embedding + ".weight", table);
        var expected = Logits(model, plain);
        for (var k = 0; k < ours.Count; k++)
        {
            Assert.That(Golden.Worst(ours[k], expected[k]), Is.LessThan(2e-5));
            Assert.That(Golden.Worst(merged[k], expected[k]), Is.LessThan(1e-4));
        }
        var apart = With(both, (Prefix + "lm_head" + part, table + 1));
        Assert.That(Assert.Throws<UserErrorException>(() => Registered.Lora().Load(outline, apart))!.Message, Does.Contain("lm_head" + part));
    }

    [TestCaseSource(nameof(Llama))]
    public void A_table_of_another_size_says_which_base_to_give(string name)
    {
        var part = Part(name);
        var (model, outline, files) = Trained("base-llama", Options(part));
        var table = torch.zeros([model.Weights[part.Module + ".weight"].size(0) + 3, model.Weights[part.Module + ".weight"].size(1)]);
        var message = Assert.Throws<UserErrorException>(() => Registered.Lora().Load(outline, With(files, (part.Tensor, table))))!.Message;
        Assert.That(message, Does.Contain("99 rows").And.Contain("96").And.Contain("resize_token_embeddings(99)").And.Contain("adapter merge").And.Contain(part.Tensor));
    }

    // The same as the adapter over a base of that size, whose own tables these are.
    [TestCase("base-llama")]
    [TestCase("base-gpt2")]
    public void Tables_with_more_rows_are_the_merged_models(string baseName)
    {
        var llama = baseName == "base-llama";
        var names = llama ? (string[])["model.embed_tokens", "lm_head"] : ["transformer.wte"];
        var (model, _, files) = Trained(baseName, new() { Targets = llama ? ["q_proj"] : ["c_attn"] });
        var (spec, rows) = (model.Spec, model.Spec.Vocabulary + 3);
        var tables = names.ToDictionary(name => name, name => new CounterStream(4, name).Normal([rows, spec.Hidden], 0, 0.3).to(model.Device));
        var resized = new DecoderModel(spec with { Vocabulary = rows }, model.Weights.ToDictionary(w => w.Key, w => tables.GetValueOrDefault(w.Key[..^".weight".Length]) ?? w.Value));
        var expected = Golden.Logits(AdapterMerge.Merged(resized, [Registered.Lora().Load(resized.Outline(baseName), files)]), ForwardMode.Plain);
        (string, Tensor)[] saved = [.. names.Append("lm_head").Distinct().Select(name => ($"{Prefix}{name}.weight", tables[llama ? name : names[0]]))];
        var folder = Directory.CreateTempSubdirectory("peftalign-grown-").FullName;
        try
        {
            var given = With(files, saved);
            AdapterMerge.Write(folder, Golden.Path(baseName), outline => Registered.Lora().Load(outline, given), null, null, tables: given.Tensors);
            var merged = ModelFolder.Load(folder, device: TestDevice.Here);
            Assert.That((merged.Spec.Vocabulary, merged.Head.equal(tables[names[^1]].to(merged.Head.dtype))), Is.EqualTo((rows, true)));
            var ours = Golden.Logits(merged, ForwardMode.Plain);
            for (var k = 0; k < ours.Count; k++) Assert.That(Golden.Worst(ours[k], expected[k]), Is.LessThan(1e-4));
            if (!llama) return;
            var one = With(files, saved[0]);
            Assert.That(Assert.Throws<UserErrorException>(() => AdapterMerge.Write(folder, Golden.Path(baseName), outline => Registered.Lora().Load(outline, one), null, null, tables: one.Tensors))!.Message,
                Does.Contain($"no lm_head of {rows} rows").And.Contain($"resize_token_embeddings({rows})"));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    // PEFT writes both tensors of a head that is a target: over this base they change nothing, over another they stand in the place of its own.
    [TestCase(true)]
    [TestCase(false)]
    public void A_heads_bias_stands_beside_its_matrix(bool target)
    {
        const string Phi = "../families/phi/base-model";
        var (model, outline, files) = Trained(Phi, new() { Targets = target ? ["q_proj", "lm_head"] : ["q_proj"] });
        var plain = Registered.Lora().Load(outline, files);
        var part = $"{Prefix}lm_head{(target ? ".base_layer" : "")}.";
        var same = Registered.Lora().Load(outline, With(files, (part + "weight", model.Weights["lm_head.weight"].clone()), (part + "bias", model.Weights["lm_head.bias"].clone())));
        Assert.That(same.Select(s => (s.Module, s.Delta.GetType())), Is.EqualTo(plain.Select(s => (s.Module, s.Delta.GetType()))));
        var bias = new CounterStream(4, "bias").Normal([model.Spec.Vocabulary], 0, 1).to(model.Device);
        var adapter = Registered.Lora();
        var read = adapter.Load(outline, With(files, (part + "weight", model.Weights["lm_head.weight"].clone()), (part + "bias", bias)));
        Assert.That(adapter.Save(outline, read).Tensors[part + "bias"].equal(bias), Is.True, "and is written again");
        var (ours, merged) = (Logits(model, read), Golden.Logits(AdapterMerge.Merged(model, [read]), ForwardMode.Plain));
        model.SetWeight("lm_head.bias", bias);
        foreach (var (k, expected) in Logits(model, plain).Index())
        {
            Assert.That(Golden.Worst(ours[k], expected), Is.LessThan(2e-5));
            Assert.That(Golden.Worst(merged[k], expected), Is.LessThan(1e-4));
        }
    }

    [Test]
    public void A_grown_heads_bias_is_the_merged_models()
    {
        const string Phi = "../families/phi/base-model";
        var (model, _, files) = Trained(Phi, new() { Targets = ["q_proj"] });
        var rows = model.Spec.Vocabulary + 3;
        Tensor Table(string name, params long[] shape) => new CounterStream(4, name).Normal(shape, 0, 0.3).to(model.Device);
        (string, Tensor)[] tables = [($"{Prefix}model.embed_tokens.weight", Table("embedding", rows, model.Spec.Hidden)), ($"{Prefix}lm_head.weight", Table("head", rows, model.Spec.Hidden))];
        var bias = Table("bias", rows);
        var folder = Directory.CreateTempSubdirectory("peftalign-grown-").FullName;
        try
        {
            var given = With(files, [.. tables, ($"{Prefix}lm_head.bias", bias)]);
            AdapterMerge.Write(folder, Golden.Path(Phi), outline => Registered.Lora().Load(outline, given), null, null, tables: given.Tensors);
            var merged = ModelFolder.Load(folder, device: TestDevice.Here);
            Assert.That((merged.Spec.Vocabulary, merged.Weights["lm_head.bias"].equal(bias)), Is.EqualTo((rows, true)));
            var lacking = With(files, tables);
            Assert.That(Assert.Throws<UserErrorException>(() => AdapterMerge.Write(folder, Golden.Path(Phi), outline => Registered.Lora().Load(outline, lacking), null, null, tables: lacking.Tensors))!.Message,
                Does.Contain($"no bias of lm_head with {rows} entries").And.Contain($"resize_token_embeddings({rows})"));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    // PEFT's head follows the embedding then, and would not here.
    [TestCase("base-gpt2", "modules_to_save", true)]
    [TestCase("base-gpt2", "target_modules", true)]
    [TestCase("base-gpt2", "trainable_token_indices", false)]
    [TestCase("base-llama", "modules_to_save", false)]
    public void Tables_that_are_trained_as_one_with_the_head_are_refused(string baseName, string key, bool refused)
    {
        var model = ModelFolder.Load(Golden.Path(baseName), device: TestDevice.Here);
        var (outline, tied) = (model.Outline(baseName), baseName == "base-gpt2");
        var (linear, embedding) = tied ? ("c_attn", "wte") : ("q_proj", "embed_tokens");
        var adapter = Registered.Lora(new()
        {
            Targets = key == "target_modules" ? [linear, embedding] : [linear],
            ModulesToSave = key == "modules_to_save" ? [embedding] : [],
            TrainableTokens = key == "trainable_token_indices" ? [5] : [],
        });
        var files = adapter.Save(outline, adapter.Attach(outline, 1));
        files.Config["ensure_weight_tying"] = true;
        if (refused) Assert.That(Assert.Throws<UserErrorException>(() => Registered.Lora().Load(outline, files))!.Message, Does.Contain("ensure_weight_tying is true").And.Contain(model.Spec.Names.Embedding).And.Contain("BASE+ADAPTER"));
        else Assert.That(Registered.Lora().Load(outline, files), Is.Not.Empty);
        files.Config["ensure_weight_tying"] = false;
        Assert.That(Registered.Lora().Load(outline, files), Is.Not.Empty);
    }

    [TestCase("base-llama", "model.embed_tokens", "lm_head")]
    [TestCase("base-gpt2", "transformer.wte", null)]
    public void Ia3s_folders_hold_them_too(string baseName, string embedding, string? head)
    {
        var model = ModelFolder.Load(Golden.Path(baseName), device: TestDevice.Here);
        var (outline, adapter) = (model.Outline(baseName), Registered.IA3());
        var sites = adapter.Attach(outline, 1);
        using (torch.no_grad())
            foreach (var site in sites) ((Scale)site.Delta).Values.add_(new CounterStream(9, site.Module).Normal(((Scale)site.Delta).Values.shape, 0, 0.3));
        var files = adapter.Save(outline, sites);
        string[] names = head is null ? [embedding] : [embedding, head];
        AdapterFiles Tables(Func<string, Tensor> table) => With(files, [.. names.Append("lm_head").Distinct().Select(name => ($"{Prefix}{name}.weight", table(head is null ? embedding : name)))]);
        Assert.That(Registered.IA3().Load(outline, Tables(name => model.Weights[name + ".weight"].clone())), Has.Count.EqualTo(sites.Count), "the model's own change nothing");

        var tables = names.ToDictionary(name => name, name => new CounterStream(4, name).Normal(model.Weights[name + ".weight"].shape, 0, 0.3).to(model.Device));
        var other = Registered.IA3();
        var read = other.Load(outline, Tables(name => tables[name]));
        Assert.That(read.SelectMany(s => s.Delta.Parameters.Values).Count(), Is.EqualTo(sites.Count), "the base's tensors are not trained");
        var ours = Logits(model, read);
        var back = Logits(model, Registered.IA3().Load(outline, other.Save(outline, read)));
        var merged = Golden.Logits(AdapterMerge.Merged(model, [read]), ForwardMode.Plain);
        foreach (var (name, table) in tables) model.SetWeight(name + ".weight", table);
        var expected = Logits(model, sites);
        for (var k = 0; k < ours.Count; k++)
        {
            Assert.That(Golden.Worst(ours[k], expected[k]), Is.LessThan(2e-5));
            Assert.That(Golden.Worst(back[k], expected[k]), Is.LessThan(2e-5));
            Assert.That(Golden.Worst(merged[k], expected[k]), Is.LessThan(1e-4));
        }
        var wide = With(files, ($"{Prefix}{embedding}.weight", torch.zeros([model.Spec.Vocabulary + 3, model.Spec.Hidden])));
        Assert.That(Assert.Throws<UserErrorException>(() => Registered.IA3().Load(outline, wide))!.Message, Does.Contain($"resize_token_embeddings({model.Spec.Vocabulary + 3})"));
    }

    private const string Script = """
        import os, sys, torch
        from safetensors.torch import save_file
        from transformers import AutoConfig, AutoModelForCausalLM
        from peft import IA3Config, LoraConfig, get_peft_model
        torch.set_num_threads(1)
        torch.manual_seed(3)
        cases = dict(
            embedding=(False, 0, dict(target_modules=["q_proj", "embed_tokens"])),
            head=(False, 0, dict(target_modules=["q_proj", "lm_head"])),
            resized=(False, 40, dict(target_modules=["q_proj"])),
            resized_tied=(True, 40, dict(target_modules=["q_proj"])),
            resized_tokens=(False, 40, dict(target_modules=["q_proj"], trainable_token_indices=[38, 39])),
            resized_tied_tokens=(True, 40, dict(target_modules=["q_proj"], trainable_token_indices=[38, 39])),
            resized_embedding=(False, 40, dict(target_modules=["q_proj", "embed_tokens", "lm_head"])),
            resized_whole=(False, 40, dict(target_modules=["q_proj"], modules_to_save=["embed_tokens", "lm_head"])),
            ia3_resized=(False, 40, None),
            ia3_resized_tied=(True, 40, None))
        # Phi's head has a bias.
        cases.update({"phi_" + name: cases[name] for name in ("head", "resized", "resized_tokens", "resized_embedding", "resized_whole", "ia3_resized")})
        for name, (tied, size, options) in cases.items():
            folder = os.path.join(sys.argv[1], name)
            config = AutoConfig.for_model("phi" if name.startswith("phi") else "llama", vocab_size=37, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
                num_key_value_heads=2, max_position_embeddings=64, tie_word_embeddings=tied, bos_token_id=1, eos_token_id=2)
            model = AutoModelForCausalLM.from_config(config)
            bias = lambda: model.get_output_embeddings().bias
            if bias() is not None: torch.nn.init.normal_(bias(), 0, 0.5)
            model.save_pretrained(os.path.join(folder, "small"))
            model = AutoModelForCausalLM.from_pretrained(os.path.join(folder, "small")).eval()
            if size: model.resize_token_embeddings(size)
            model.save_pretrained(os.path.join(folder, "base"))
            with torch.no_grad():
                # Tables that are saved: those that are targets, or both.
                if not name.endswith("head"): model.get_input_embeddings().weight.add_(torch.randn(size or 37, 16) * 0.3)
                if name != "embedding" and not tied: model.get_output_embeddings().weight.add_(torch.randn(size or 37, 16) * 0.3)
                if bias() is not None: bias().add_(torch.randn(size or 37) * 0.3)
                config = IA3Config(task_type="CAUSAL_LM") if options is None else LoraConfig(task_type="CAUSAL_LM", r=2, lora_alpha=4, **options)
                adapted = get_peft_model(model, config).eval()
                for parameter in adapted.parameters():
                    if parameter.requires_grad: parameter.add_(torch.randn_like(parameter) * 0.3)
                logits = adapted(torch.tensor([[1, 5, 9, 7, 36]])).logits[0]
            adapted.save_pretrained(os.path.join(folder, "adapter"))
            save_file({"logits": logits.contiguous()}, os.path.join(folder, "logits.safetensors"))
        """;

    [Test]
    public void Folders_that_peft_writes_with_tables_give_its_logits()
    {
        var root = Directory.CreateTempSubdirectory("peftalign-peers-").FullName;
        try
        {
            PeersPython.Run(Script, root);
            foreach (var folder in Directory.GetDirectories(root))
            {
                var model = ModelFolder.Load(Path.Combine(folder, "base"), device: TestDevice.Here);
                var files = Golden.Adapter(Path.Combine(folder, "adapter"));
                Assert.That(files.Tensors.Keys, Has.Some.Matches<string>(name => name.EndsWith("embed_tokens.weight", StringComparison.Ordinal) || name.EndsWith("lm_head.weight", StringComparison.Ordinal) || name.EndsWith("base_layer.weight", StringComparison.Ordinal)), folder);
                var mode = ModuleGoldenTests.Mode(Registered.ReaderOf(files).Load(model.Outline("base"), files));
                using var theirs = SafetensorsFile.Open(Path.Combine(folder, "logits.safetensors"));
                using var off = torch.no_grad();
                var ours = new LogProbEngine(model).Logits([new CompletionGroup([1], [Completion.Of([5, 9, 7, 36, 0])])], mode)[0];
                Assert.That(Golden.Worst(ours, theirs.Tensor("logits")), Is.LessThan(1e-4), Path.GetFileName(folder));
                // Over the base that was not resized the same, where weights can hold it.
                if (!Path.GetFileName(folder).Contains("resized", StringComparison.Ordinal)) continue;
                var merged = Path.Combine(folder, "merged");
                AdapterMerge.Write(merged, Path.Combine(folder, "small"), outline => Registered.ReaderOf(files).Load(outline, files), null, null, tables: files.Tensors);
                var grown = new LogProbEngine(ModelFolder.Load(merged, device: TestDevice.Here)).Logits([new CompletionGroup([1], [Completion.Of([5, 9, 7, 36, 0])])], ForwardMode.Plain)[0];
                Assert.That(Golden.Worst(grown, theirs.Tensor("logits")), Is.LessThan(1e-4), Path.GetFileName(folder));
            }
        }
        finally
        {
            Directory.Delete(root, recursive: true);
        }
    }
}
