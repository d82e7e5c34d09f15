// Layers of families that are called otherwise than Llama's; slices that must fit together; tensors that are no weights.

using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Torch;

namespace PeftAlign.Merging.Tests;

public class LayerFamilyTests
{
    private const string Gradient = "merge_method: linear\nmodels:\n- {model: a, parameters: {weight: [1, 0]}}\n- {model: b, parameters: {weight: [0, 1]}}\n";
    private const string Half = "merge_method: linear\nmodels:\n- {model: a, parameters: {weight: 1}}\n- {model: b, parameters: {weight: 1}}\n";

    private static IEnumerable<(string, long[])> Roberta(int layers) =>
        [("roberta.embeddings.word_embeddings.weight", [6, 4]), .. Enumerable.Range(0, layers).SelectMany(k => ((string, long[])[])[($"roberta.encoder.layer.{k}.attention.self.query.weight", [4, 4]), ($"roberta.encoder.layer.{k}.output.dense.bias", [4])]), ("classifier.out_proj.weight", [2, 4])];

    private static IEnumerable<(string, long[])> NeoX(int layers) =>
        [("gpt_neox.embed_in.weight", [6, 4]), ("embed_out.weight", [6, 4]), ("gpt_neox.final_layer_norm.weight", [4]), .. Enumerable.Range(0, layers).Select(k => ($"gpt_neox.layers.{k}.attention.dense.weight", (long[])[4, 4]))];

    private static void Refused(string root, string yaml, params string[] words)
    {
        var error = Assert.Throws<UserErrorException>(() => Families.Merged(root, yaml))!;
        TestContext.Out.WriteLine(error.Message);
        foreach (var word in words) Assert.That(error.Message, Does.Contain(word));
    }

    [Test]
    public void AnEncodersLayersAreLayers()
    {
        using var scope = torch.NewDisposeScope();
        var root = Workshop.Scratch();
        foreach (var name in (string[])["a", "b"]) Families.Write(root, name, Families.Config("roberta", "RobertaForSequenceClassification", 2), Roberta(2));
        var (a, b) = (Workshop.Tensors(Path.Combine(root, "a")), Workshop.Tensors(Path.Combine(root, "b")));
        const string Query = "roberta.encoder.layer.{0}.attention.self.query.weight";
        var (first, second, third) = (Query.Replace("{0}", "0", StringComparison.Ordinal), Query.Replace("{0}", "1", StringComparison.Ordinal), Query.Replace("{0}", "2", StringComparison.Ordinal));
        var merged = Families.Merged(root, Gradient);
        Compare.Close("first", merged[first], a[first], 1e-7, 1e-6);
        Compare.Close("second", merged[second], b[second], 1e-7, 1e-6);
        merged = Families.Merged(root, Families.Stack("", ("a", 0, 2), ("b", 0, 1)), out var folder, out _);
        Assert.That(merged.Keys.Count(name => name.Contains(".layer.", StringComparison.Ordinal)), Is.EqualTo(6));
        Assert.That(merged[third].equal(b[first]) && merged[second].equal(a[second]), Is.True);
        Assert.That(Workshop.Json(Path.Combine(folder, "config.json")).GetProperty("num_hidden_layers").GetInt32(), Is.EqualTo(3));
    }

    [Test]
    public void LayersThatAreNotThoseOfTheConfigurationAreRefused()
    {
        var root = Workshop.Scratch();
        foreach (var name in (string[])["a", "b"]) Families.Write(root, name, Families.Config("llama", "LlamaForCausalLM", 2), Families.Llama(3));
        Refused(root, Half, "a: config.json", "2 layers", "hold 3", "0 to 2");
        root = Workshop.Scratch();
        foreach (var name in (string[])["a", "b"]) Families.Write(root, name, Families.Config("odd", "OddModel", 2), [("embed_tokens.weight", [6, 4]), ("stages.0.weight", [4, 4]), ("stages.1.weight", [4, 4])]);
        Refused(root, Half, "a: ", "2 layers", "layers.N");
        // Layers of another purpose behind the last, which transformers does not load, as mergekit does not.
        root = Workshop.Scratch();
        foreach (var name in (string[])["a", "b"]) Families.Write(root, name, Families.Config("deepseek_v3", "DeepseekV3ForCausalLM", 2, ("num_nextn_predict_layers", 1)), Families.Llama(3));
        var merged = Families.Merged(root, Half, out _, out var warnings);
        Assert.That(merged.Keys.Any(name => name.Contains("layers.2.", StringComparison.Ordinal)), Is.False);
        Assert.That(warnings, Has.Some.Contains("num_nextn_predict_layers"));
    }

    [Test]
    public void AHeadIsOfTheLastSlice()
    {
        using var scope = torch.NewDisposeScope();
        var root = Workshop.Scratch();
        foreach (var name in (string[])["a", "b"]) Families.Write(root, name, Families.Config("gpt_neox", "GPTNeoXForCausalLM", 2), NeoX(2));
        var (a, b) = (Workshop.Tensors(Path.Combine(root, "a")), Workshop.Tensors(Path.Combine(root, "b")));
        var merged = Families.Merged(root, Families.Stack("", ("a", 0, 1), ("b", 1, 2)));
        Assert.That(merged["embed_out.weight"].equal(b["embed_out.weight"]), Is.True);
        Assert.That(merged["gpt_neox.embed_in.weight"].equal(a["gpt_neox.embed_in.weight"]), Is.True);
    }

    [Test]
    public void SlicesThatDoNotFitAreRefused()
    {
        var root = Workshop.Scratch();
        void Model(string name, int hidden = 4, int vocabulary = 6, params (string, System.Text.Json.Nodes.JsonNode)[] more) =>
            Families.Write(root, name, Families.Config("llama", "LlamaForCausalLM", 2, [("hidden_size", hidden), ("vocab_size", vocabulary), .. more]), Families.Llama(2, hidden, vocabulary));
        Model("a");
        Model("wide", hidden: 8);
        Model("more", vocabulary: 7);
        Model("heads", more: ("num_attention_heads", 1));
        Model("shared", more: ("num_key_value_heads", 1));
        Refused(root, Families.Stack("", ("a", 0, 1), ("wide", 1, 2)), "input_layernorm.weight is [4] in a and [8] in wide");
        Refused(root, Families.Stack("", ("a", 0, 1), ("more", 1, 2)), "embed_tokens", "6 rows", "lm_head", "7", "tokenizer_source");
        Refused(root, Families.Stack("", ("a", 0, 1), ("heads", 1, 2)), "head_dim", "2 in a", "4 in heads");
        Refused(root, Families.Stack("", ("a", 0, 1), ("shared", 1, 2)), "num_key_value_heads", "2 in a", "1 in shared");
        Refused(root, Families.Stack("base_model: wide\n", ("a", 0, 1), ("a", 1, 2)), "[4] in a and [8] in wide");
        Refused(root, Families.Stack("base_model: more\n", ("a", 0, 1), ("a", 1, 2)), "vocab_size", "7", "6");
        // A vocabulary between the first slice and the last is nobody's.
        Assert.That(Families.Merged(root, Families.Stack("", ("a", 0, 1), ("more", 1, 2), ("a", 0, 1))), Has.Count.EqualTo(9));
    }

    // mergekit keeps the list of base_model as it is, and stops where its length is another one.
    [Test]
    public void AStackedLayerKeepsItsKindOfAttention()
    {
        var root = Workshop.Scratch();
        static JsonArray List(params ReadOnlySpan<string> kinds) => [.. kinds.ToArray().Select(kind => (JsonNode)kind)];
        void Model(string name, params (string, JsonNode)[] lists) => Families.Write(root, name, Families.Config("gemma2", "Gemma2ForCausalLM", 4, lists), Families.Llama(4));
        JsonElement Merged(string yaml)
        {
            _ = Families.Merged(root, yaml, out var folder, out _);
            return Workshop.Json(Path.Combine(folder, "config.json"));
        }
        Model("a", ("layer_types", List("sliding_attention", "full_attention", "sliding_attention", "full_attention")), ("no_rope_layers", new JsonArray(1, 0, 1, 0)), ("attention_types", new JsonArray(new JsonArray(List("global", "local"), 2))));
        Model("b", ("layer_types", List("full_attention", "full_attention", "full_attention", "sliding_attention")), ("attention_types", new JsonArray(new JsonArray(List("local"), 3), new JsonArray(List("global"), 1))));
        var config = Merged(Families.Stack("", ("a", 0, 3), ("a", 2, 4), ("b", 3, 4)));
        Assert.That(Compact(config.GetProperty("layer_types")), Is.EqualTo("""["sliding_attention","full_attention","sliding_attention","sliding_attention","full_attention","sliding_attention"]"""));
        Assert.That(Compact(config.GetProperty("attention_types")), Is.EqualTo("""[[["global","local","global","global","local","global"],1]]"""));
        Assert.That(config.TryGetProperty("no_rope_layers", out _), Is.False, "b does not say which of its layers turn, and the list of a is too short");
        config = Merged(Families.Stack("base_model: a\n", ("a", 1, 4), ("a", 0, 1)));
        Assert.That(Compact(config.GetProperty("layer_types")), Is.EqualTo("""["full_attention","sliding_attention","full_attention","sliding_attention"]"""), "as many layers in another order");
        Assert.That(Compact(config.GetProperty("no_rope_layers")), Is.EqualTo("[0,1,0,1]"));
        config = Merged("merge_method: linear\nmodels:\n- {model: b, parameters: {weight: 1}}\n- {model: a, parameters: {weight: 1}}\n");
        Assert.That(Compact(config.GetProperty("layer_types")), Is.EqualTo("""["full_attention","full_attention","full_attention","sliding_attention"]"""), "whole models: as the leader's says");
        Assert.That(Compact(config.GetProperty("attention_types")), Is.EqualTo("""[[["local"],3],[["global"],1]]"""));
    }

    // Without a list a loader goes by a layer's number: what transformers 5.23 makes of the parent's layers, moved with them.
    [TestCase("gemma2", "", "layer_types", "fssf")]
    [TestCase("gemma3_text", "\"sliding_window_pattern\": 3", "layer_types", "sfss")]
    [TestCase("cohere2", "", "layer_types", "ssss")]
    [TestCase("olmo3", "", "layer_types", "ssss")]
    [TestCase("qwen2_moe", "\"use_sliding_window\": true, \"max_window_layers\": 4", "layer_types", "fsff")]
    [TestCase("cwm", "", "layer_types", "ssfs")]
    [TestCase("qwen2", "\"use_sliding_window\": true, \"sliding_window\": 4, \"max_window_layers\": 3", "layer_types", "ffsf")]
    [TestCase("dots1", "\"max_window_layers\": 2", "layer_types", "fssf")]
    [TestCase("dots1", "\"sliding_window\": null, \"max_window_layers\": 2", "layer_types", "")]
    [TestCase("qwen3", "\"use_sliding_window\": true, \"max_window_layers\": 5", "layer_types", "")] // all alike, here and there
    [TestCase("qwen2", "\"sliding_window\": 4, \"max_window_layers\": 3", "layer_types", "")] // switched off
    [TestCase("qwen2", "\"use_sliding_window\": true, \"sliding_window\": null, \"max_window_layers\": 3", "layer_types", "")]
    [TestCase("llama", "", "layer_types", "")]
    [TestCase("smollm3", "\"no_rope_layer_interval\": 2", "no_rope_layers", "0110")]
    [TestCase("gpt_neo", "", "attention_types", "lggl")]
    public void AMovedLayerKeepsTheKindThatItsNumberGaveIt(string type, string more, string key, string kinds)
    {
        var root = Workshop.Scratch();
        Families.Write(root, "a", Families.Config(type, "Any", 5, [.. JsonNode.Parse($"{{{more}}}")!.AsObject().Select(entry => (entry.Key, entry.Value?.DeepClone()!))]), Families.Llama(5));
        JsonElement Merged(params (string, int, int)[] slices)
        {
            _ = Families.Merged(root, Families.Stack("", slices), out var folder, out _);
            return Workshop.Json(Path.Combine(folder, "config.json"));
        }
        var moved = Merged(("a", 1, 2), ("a", 2, 3), ("a", 4, 5), ("a", 1, 2));
        if (kinds.Length == 0) Assert.That(moved.TryGetProperty(key, out _), Is.False);
        else Assert.That(string.Concat(key is "attention_types" ? moved.GetProperty(key)[0][0].EnumerateArray().Select(kind => kind.ToString()[0]) : moved.GetProperty(key).EnumerateArray().Select(kind => kind.ToString()[0])), Is.EqualTo(kinds));
        Assert.That(Merged(("a", 0, 2), ("a", 2, 5)).TryGetProperty(key, out _), Is.False, "where all stay, the number says it as before");
    }

    // Of four layers none lies at or above max_window_layers, of six two would.
    [Test]
    public void AStackDoesNotGrowIntoALayersNumber()
    {
        var root = Workshop.Scratch();
        Families.Write(root, "a", Families.Config("qwen2", "Any", 4, ("use_sliding_window", true), ("sliding_window", 4), ("max_window_layers", 4)), Families.Llama(4));
        _ = Families.Merged(root, Families.Stack("", ("a", 0, 4), ("a", 2, 4)), out var folder, out _);
        Assert.That(Workshop.Json(Path.Combine(folder, "config.json")).GetProperty("layer_types").EnumerateArray().Select(kind => kind.GetString()), Is.EqualTo(Enumerable.Repeat("full_attention", 6)));
    }

    [TestCase("llama4_text", "")]
    [TestCase("gemma4_text", "")]
    [TestCase("exaone4", "\"sliding_window_pattern\": \"LLLG\"")]
    [TestCase("llama4_text", "\"no_rope_layers\": []")] // which transformers takes for none
    public void AMovedLayerOfAnUnknownRuleIsRefusedUnlessItIsListed(string type, string more)
    {
        var root = Workshop.Scratch();
        var config = Families.Config(type, "Any", 4, [.. JsonNode.Parse($"{{{more}}}")!.AsObject().Select(entry => (entry.Key, entry.Value?.DeepClone()!))]);
        Families.Write(root, "a", config, Families.Llama(4));
        Refused(root, Families.Stack("", ("a", 0, 2), ("a", 1, 4)), $"a is of model_type {type}", "layer_types");
        Assert.That(Families.Merged(root, Families.Stack("", ("a", 0, 2), ("a", 2, 4))), Is.Not.Empty);
        config["layer_types"] = new JsonArray("full_attention", "sliding_attention", "sliding_attention", "full_attention");
        Families.Write(root, "a", config, Families.Llama(4));
        Assert.That(Families.Merged(root, Families.Stack("", ("a", 0, 2), ("a", 1, 4))), Is.Not.Empty);
    }

    private static string Compact(JsonElement element) => JsonNode.Parse(element.GetRawText())!.ToJsonString();

    [Test]
    public void LayersThatDifferOnPurposeAreMerged()
    {
        var root = Workshop.Scratch();
        IEnumerable<(string, long[])> Shapes(int wide) => [("model.embed_tokens.weight", [6, 4]), ("model.norm.weight", [4]), ("lm_head.weight", [6, 4]), .. Enumerable.Range(0, 4).Select(k => ($"model.layers.{k}.mlp.up_proj.weight", (long[])[k % 2 == 0 ? 4 : wide, 4]))];
        foreach (var (name, wide) in (ReadOnlySpan<(string, int)>)[("a", 8), ("b", 8), ("c", 12)]) Families.Write(root, name, Families.Config("llama", "LlamaForCausalLM", 4), Shapes(wide));
        Assert.That(Families.Merged(root, Families.Stack("", ("a", 0, 1), ("b", 1, 3))), Has.Count.EqualTo(6));
        Refused(root, Families.Stack("", ("a", 0, 1), ("c", 0, 3)), "mlp.up_proj.weight", "[8, 4]", "[12, 4]");
    }

    [Test]
    public void AnUntiedLeadersResultHasAHead()
    {
        using var scope = torch.NewDisposeScope();
        var root = Workshop.Scratch();
        Families.Write(root, "untied", Families.Config("llama", "LlamaForCausalLM", 2), Families.Llama(2));
        foreach (var name in (string[])["tied", "other"]) Families.Write(root, name, Families.Config("llama", "LlamaForCausalLM", 2, ("tie_word_embeddings", true)), Families.Llama(2, head: false));
        var tied = Workshop.Tensors(Path.Combine(root, "tied"));
        foreach (var more in (string[])["", "base_model: untied\n"])
        {
            var merged = Families.Merged(root, Families.Stack(more, ("untied", 0, 1), ("tied", 1, 2)), out var folder, out _);
            Assert.That(merged["lm_head.weight"].equal(tied["model.embed_tokens.weight"]), Is.True);
            Assert.That(Workshop.Json(Path.Combine(folder, "config.json")).GetProperty("tie_word_embeddings").GetBoolean(), Is.False);
        }
        // As in mergekit; the words are ours.
        var stack = Families.Merged(root, Families.Stack("", ("other", 0, 1), ("tied", 1, 2)), out _, out var warnings);
        Assert.That(stack.ContainsKey("lm_head.weight"), Is.False);
        Assert.That(warnings, Has.Some.Contains("the embedding of other"));
        Families.Merged(root, Families.Stack("", ("tied", 0, 1), ("tied", 1, 2)), out _, out warnings);
        Assert.That(warnings, Is.Empty);
        // A model without any head gets none.
        Families.Write(root, "judge", Families.Config("llama", "LlamaForSequenceClassification", 2), [.. Families.Llama(2, head: false), ("score.weight", [1, 4])]);
        Assert.That(Families.Merged(root, Families.Stack("", ("judge", 0, 1), ("judge", 1, 2))).ContainsKey("lm_head.weight"), Is.False);
    }

    [TestCase("a", "b")]
    [TestCase("b", "a")]
    public void NamesWithoutTheBaseModelsPrefixAreTheSame(string first, string second)
    {
        using var scope = torch.NewDisposeScope();
        var root = Workshop.Scratch();
        IEnumerable<(string, long[])> Gpt2(string prefix) => ((string, long[])[])[(prefix + "wte.weight", [6, 4]), (prefix + "wpe.weight", [8, 4]), (prefix + "h.0.attn.c_attn.weight", [4, 12]), (prefix + "ln_f.bias", [4])];
        System.Text.Json.Nodes.JsonObject Config() => Families.Config("gpt2", "GPT2LMHeadModel", 1, ("tie_word_embeddings", true));
        Families.Write(root, "a", Config(), Gpt2(""));
        Families.Write(root, "b", Config(), Gpt2("transformer."));
        var (a, b) = (Workshop.Tensors(Path.Combine(root, "a")), Workshop.Tensors(Path.Combine(root, "b")));
        var merged = Families.Merged(root, $"merge_method: linear\nmodels:\n- {{model: {first}, parameters: {{weight: 1}}}}\n- {{model: {second}, parameters: {{weight: 1}}}}\n");
        Compare.Close("gpt2", merged, b.ToDictionary(t => t.Key, t => (t.Value + a[t.Key["transformer.".Length..]]) / 2), 1e-7, 1e-6);
    }

    [Test]
    public void WhatHoldsNoFloatsIsCopiedOrLeftOut()
    {
        using var scope = torch.NewDisposeScope();
        var root = Workshop.Scratch();
        var mask = torch.ones([1, 1, 3, 3]).tril();
        (string, Tensor)[] Buffers(torch.ScalarType type, long value) =>
            [.. Enumerable.Range(0, 2).SelectMany(k => ((string, Tensor)[])[($"gpt_neox.layers.{k}.attention.bias", mask.to(type)), ($"gpt_neox.layers.{k}.attention.masked_bias", torch.tensor(-1e9f)), ($"gpt_neox.layers.{k}.route", torch.tensor(value))])];
        foreach (var (name, type, value) in (ReadOnlySpan<(string, torch.ScalarType, long)>)[("a", torch.ScalarType.Bool, 5), ("b", torch.ScalarType.Byte, 5), ("c", torch.ScalarType.Bool, 6)])
            Families.Write(root, name, Families.Config("gpt_neox", "GPTNeoXForCausalLM", 2), NeoX(2), Buffers(type, value));
        var merged = Families.Merged(root, Half, out _, out var warnings);
        Assert.That(warnings, Is.Empty);
        Assert.That(merged.ContainsKey("gpt_neox.layers.0.attention.bias"), Is.False);
        Assert.That(merged["gpt_neox.layers.1.attention.masked_bias"].item<float>(), Is.EqualTo(-1e9f));
        Assert.That((merged["gpt_neox.layers.1.route"].dtype, merged["gpt_neox.layers.1.route"].item<long>()), Is.EqualTo((torch.ScalarType.Int64, 5L)));
        // The certificate's account of it.
        using var plan = Merger.Plan(Half, "test.yaml", Workshop.Strategies.Find, path => Path.GetFullPath(path, root));
        var ledger = new TensorLedger();
        new MergeRunner(plan, new MergeOptions { Observe = ledger.Observe }).Write(Path.Combine(Workshop.Scratch(), "out"));
        Assert.That((ledger.Accounts["gpt_neox.layers.0.route"].Result, ledger.Accounts["gpt_neox.layers.0.route"].Inputs[0]), Is.EqualTo((5.0, 5.0)));
        Refused(root, Half.Replace("model: b", "model: c", StringComparison.Ordinal), "gpt_neox.layers.0.route", "a", "c", "Int64");
    }

    // OPT-350M's narrower embedding: the matrix behind it belongs to it.
    [Test]
    public void WhatWidensAnEmbeddingIsOfTheFirstSlice()
    {
        using var scope = torch.NewDisposeScope();
        var root = Workshop.Scratch();
        foreach (var name in (string[])["a", "b"])
            Families.Write(root, name, Families.Config("opt", "OPTForCausalLM", 2, ("tie_word_embeddings", true)), [("decoder.embed_tokens.weight", [6, 2]), ("decoder.project_in.weight", [4, 2]), ("decoder.project_out.weight", [2, 4]), ("decoder.layers.0.fc1.weight", [4, 4]), ("decoder.layers.1.fc1.weight", [4, 4])]);
        var (a, b) = (Workshop.Tensors(Path.Combine(root, "a")), Workshop.Tensors(Path.Combine(root, "b")));
        var merged = Families.Merged(root, Families.Stack("", ("a", 0, 1), ("b", 1, 2)));
        Assert.That(merged["model.decoder.project_in.weight"].equal(a["decoder.project_in.weight"]) && merged["model.decoder.project_out.weight"].equal(b["decoder.project_out.weight"]), Is.True);
    }

    // DistilBERT's keys of config.json are its own (n_layers, dim), and MPT's too: both are merged and stacked like the others.
    [TestCase("distilbert", "DistilBertForMaskedLM", "distilbert.transformer.layer.{0}.attention.q_lin.weight", "distilbert.embeddings.word_embeddings.weight", "dim", "n_heads")]
    [TestCase("mpt", "MptForCausalLM", "transformer.blocks.{0}.attn.Wqkv.weight", "transformer.wte.weight", "d_model", "n_heads")]
    public void LayersThatAreCountedByNLayersAreLayers(string type, string architecture, string weight, string table, string width, string heads)
    {
        using var scope = torch.NewDisposeScope();
        var root = Workshop.Scratch();
        string Of(int layer) => string.Format(System.Globalization.CultureInfo.InvariantCulture, weight, layer);
        foreach (var name in (string[])["a", "b"])
            Families.Write(root, name, new JsonObject { ["model_type"] = type, ["architectures"] = new JsonArray(architecture), ["vocab_size"] = 6, [width] = 4, ["n_layers"] = 2, [heads] = 2 }, [(table, [6, 4]), (Of(0), [4, 4]), (Of(1), [4, 4])]);
        var (a, b) = (Workshop.Tensors(Path.Combine(root, "a")), Workshop.Tensors(Path.Combine(root, "b")));
        Compare.Close("mean", Families.Merged(root, Half)[Of(1)], (a[Of(1)] + b[Of(1)]) / 2, 1e-6, 1e-6);
        var stacked = Families.Merged(root, Families.Stack("", ("a", 0, 2), ("b", 1, 2)), out var folder, out _);
        Assert.That(stacked[Of(2)].equal(b[Of(1)]) && stacked[table].equal(a[table]), Is.True);
        Assert.That(Workshop.Json(Path.Combine(folder, "config.json")).GetProperty("n_layers").GetInt32(), Is.EqualTo(3));
    }

    // As files in float16 hold -1e9; anywhere else an infinity is a damaged weight.
    [Test]
    public void WhatMasksAreFilledWithMayBeAnInfinity()
    {
        using var scope = torch.NewDisposeScope();
        var root = Workshop.Scratch();
        foreach (var name in (string[])["a", "b"])
            Families.Write(root, name, Families.Config("gpt_neox", "GPTNeoXForCausalLM", 2), NeoX(2), [.. Enumerable.Range(0, 2).Select(k => ($"gpt_neox.layers.{k}.attention.masked_bias", torch.tensor(float.NegativeInfinity)))]);
        Assert.That(Families.Merged(root, Half, out _, out _)["gpt_neox.layers.1.attention.masked_bias"].item<float>(), Is.EqualTo(float.NegativeInfinity));
    }

    // Fine-tunes usually drop the layers that predict further tokens.
    [Test]
    public void LayersForFurtherTokensNeedNotBeInAllModels()
    {
        var root = Workshop.Scratch();
        Families.Write(root, "a", Families.Config("deepseek_v3", "DeepseekV3ForCausalLM", 2, ("num_nextn_predict_layers", 1)), [.. Families.Llama(3), ("model.layers.2.eh_proj.weight", [4, 8])]);
        Families.Write(root, "b", Families.Config("deepseek_v3", "DeepseekV3ForCausalLM", 2), Families.Llama(2));
        Assert.That(Families.Merged(root, "merge_method: passthrough\nslices:\n- sources: [{model: a, layer_range: [0, 2]}]\n- sources: [{model: b, layer_range: [0, 2]}]\n").Keys, Has.Some.Contains("layers.3."));
    }

    // More blocks of a vision tower than layers of the language model.
    [Test]
    public void BlocksOfAVisionTowerAreNoLayers()
    {
        var root = Workshop.Scratch();
        foreach (var name in (string[])["a", "b"]) Families.Write(root, name, Families.Config("qwen2_vl", "Qwen2VLForConditionalGeneration", 2), [.. Families.Llama(2), .. Enumerable.Range(0, 3).Select(k => ($"visual.blocks.{k}.attn.proj.weight", new long[] { 4, 4 }))]);
        Assert.That(Families.Merged(root, Half).Keys.Count(key => key.StartsWith("visual.", StringComparison.Ordinal)), Is.EqualTo(3));
    }
    // Gemma 3 with images: the sizes are text_config's, and the class's own number of layers counts where it names none.
    [TestCase(true)]
    [TestCase(false)]
    public void LayersOfATextPartAreCountedInItsConfiguration(bool named)
    {
        using var scope = torch.NewDisposeScope();
        var root = Workshop.Scratch();
        var layers = named ? 2 : 26;
        foreach (var name in (string[])["a", "b"])
        {
            var text = new JsonObject { ["vocab_size"] = 6, ["hidden_size"] = 4, ["num_attention_heads"] = 2, ["num_key_value_heads"] = 2, ["layer_types"] = new JsonArray([.. Enumerable.Range(0, layers).Select(k => (JsonNode)(k == 1 ? "full_attention" : "sliding_attention"))]) };
            if (named) text["num_hidden_layers"] = layers;
            var config = new JsonObject { ["model_type"] = "gemma3", ["architectures"] = new JsonArray("Gemma3ForConditionalGeneration"), ["text_config"] = text, ["vision_config"] = new JsonObject { ["num_hidden_layers"] = 3 } };
            Families.Write(root, name, config, [.. Families.Llama(layers, head: false).Select(t => ("language_model." + t.Item1, t.Item2)), .. Enumerable.Range(0, 3).Select(k => ($"vision_tower.vision_model.encoder.layers.{k}.mlp.fc1.weight", new long[] { 4, 4 }))]);
        }
        var b = Workshop.Tensors(Path.Combine(root, "b"));
        var merged = Families.Merged(root, Families.Stack("", ("a", 0, 2), ("b", 1, 2)), out var folder, out _);
        Assert.That(merged["language_model.model.layers.2.self_attn.q_proj.weight"].equal(b["language_model.model.layers.1.self_attn.q_proj.weight"]), Is.True);
        Assert.That(merged["vision_tower.vision_model.encoder.layers.2.mlp.fc1.weight"].equal(b["vision_tower.vision_model.encoder.layers.2.mlp.fc1.weight"]), Is.True, "of the last slice, as all that is of no layer");
        Assert.That(merged.Keys.Count(key => key.StartsWith("vision_tower.", StringComparison.Ordinal)), Is.EqualTo(3));
        var written = Workshop.Json(Path.Combine(folder, "config.json"));
        Assert.That(written.GetProperty("text_config").GetProperty("num_hidden_layers").GetInt32(), Is.EqualTo(3));
        Assert.That(written.GetProperty("text_config").GetProperty("layer_types").EnumerateArray().Select(kind => kind.GetString()), Is.EqualTo((string[])["sliding_attention", "full_attention", "full_attention"]));
        Assert.That((written.GetProperty("vision_config").GetProperty("num_hidden_layers").GetInt32(), written.TryGetProperty("num_hidden_layers", out _), written.TryGetProperty("layer_types", out _)), Is.EqualTo((3, false, false)));
    }
}
