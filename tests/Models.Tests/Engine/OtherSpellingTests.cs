// GPT-NeoX, OPT, Phi, GPT-J, Falcon and Cohere under the other spellings that transformers reads: keys that older configurations have or that are
// left out, names of tensors with and without their prefix, a head by either name, tables of old checkpoints.

using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Models.Tests.Checkpoints;
using PeftAlign.Torch;

namespace PeftAlign.Models.Tests.Engine;

public sealed class OtherSpellingTests : ScopedTest
{
    private static string Changed(string family, Action<JsonObject> change, Func<Dictionary<string, Tensor>, Dictionary<string, Tensor>>? weights = null)
    {
        var folder = Shared.Scratch();
        Shared.Copy(GoldenFolder.Of(family), folder);
        var file = Path.Combine(folder, "config.json");
        var config = JsonNode.Parse(File.ReadAllText(file))!.AsObject();
        change(config);
        File.WriteAllText(file, config.ToJsonString());
        if (weights is null) return folder;
        using var stored = SafetensorsFile.Open(Path.Combine(GoldenFolder.Of(family), "model.safetensors"));
        CheckpointFolder.Write(folder, weights(stored.Tensors.ToDictionary(t => t.Name, t => stored.Tensor(t.Name))));
        return folder;
    }

    private static void AssertSame(string family, string folder)
    {
        using var golden = new GoldenFolder(GoldenFolder.Of(family));
        var warnings = new List<string>();
        var model = ModelFolder.Load(folder, warnings.Add, device: TestDevice.Here);
        Assert.That(warnings, Is.Empty);
        foreach (var (row, b) in golden.Rows().Select((row, b) => (row, b)))
            Assert.That(Tiny.Worst(GoldenFolder.Logits(model, row), golden.Tensor("logits").select(0, b).narrow(0, 0, row.Length)), Is.LessThan(1e-4));
    }

    private static string Without(string family, params string[] keys) => Changed(family, config => Array.ForEach(keys, key => config.Remove(key)));

    [Test]
    public void What_is_left_out_is_the_classs_own()
    {
        AssertSame("gpt-neox", Without("gpt-neox", "rope_parameters", "tie_word_embeddings", "use_parallel_residual", "attention_bias", "hidden_act", "layer_norm_eps"));
        AssertSame("opt", Without("opt", "do_layer_norm_before", "enable_bias", "layer_norm_elementwise_affine", "tie_word_embeddings", "activation_function", "word_embed_proj_dim", "_remove_final_layer_norm"));
        AssertSame("phi", Without("phi", "rope_parameters", "hidden_act", "layer_norm_eps", "qk_layernorm", "num_key_value_heads", "tie_word_embeddings"));
        AssertSame("gptj", Without("gptj", "activation_function", "layer_norm_epsilon", "tie_word_embeddings"));
        AssertSame("falcon", Without("falcon", "rope_parameters", "activation", "alibi", "bias", "multi_query", "parallel_attn", "new_decoder_architecture", "num_kv_heads", "num_ln_in_parallel_attn", "layer_norm_epsilon", "tie_word_embeddings"));
        AssertSame("falcon-groups", Without("falcon-groups", "num_ln_in_parallel_attn", "multi_query", "parallel_attn"));
        AssertSame("cohere", Without("cohere", "rope_parameters", "hidden_act", "layer_norm_eps", "attention_bias", "use_qk_norm", "tie_word_embeddings"));
    }

    [TestCase("""{"rotary_pct":0.25,"rotary_emb_base":10000}""")]
    [TestCase("""{"rotary_pct":0.25,"rotary_emb_base":10000,"rope_theta":77,"partial_rotary_factor":1}""")] // which this class does not read
    [TestCase("""{"rope_scaling":{"type":"default","rope_theta":10000,"partial_rotary_factor":0.25},"rotary_pct":1,"rotary_emb_base":7}""")]
    public void Rotation_in_older_words(string json) => AssertSame("gpt-neox", Changed("gpt-neox", config =>
    {
        config.Remove("rope_parameters");
        foreach (var (key, value) in JsonNode.Parse(json)!.AsObject()) config[key] = value?.DeepClone();
    }));

    [TestCase("""{"partial_rotary_factor":0.5,"rope_theta":10000}""")]
    [TestCase("""{"rope_parameters":{"rope_type":"default","rope_theta":10000}}""")]
    [TestCase("""{"rope_scaling":{"type":"default","rope_theta":10000,"partial_rotary_factor":0.5},"partial_rotary_factor":1}""")]
    public void Phis_rotation_in_older_words(string json) => AssertSame("phi", Changed("phi", config =>
    {
        config.Remove("rope_parameters");
        foreach (var (key, value) in JsonNode.Parse(json)!.AsObject()) config[key] = value?.DeepClone();
    }));

    // GPT-J's first files hold masks; all three types are read without the base model's prefix.
    [TestCase("phi", "model.")]
    [TestCase("gptj", "transformer.")]
    [TestCase("falcon", "transformer.")]
    [TestCase("falcon-serial", "transformer.")]
    [TestCase("cohere", "model.")]
    public void Without_the_prefix_and_with_masks(string family, string prefix) => AssertSame(family, Changed(family, _ => { }, stored =>
    {
        var tensors = stored.ToDictionary(t => t.Key.StartsWith(prefix, StringComparison.Ordinal) ? t.Key[prefix.Length..] : t.Key, t => t.Value);
        if (family == "gptj") (tensors["h.0.attn.bias"], tensors["h.0.attn.masked_bias"]) = (torch.ones([1, 1, 8, 8]), torch.tensor(-1e9f));
        return tensors;
    }));

    // From EleutherAI's first releases: no prefix of the base model, masks and frequencies beside the weights. transformers 5 calls the head lm_head.
    [TestCase("embed_out.weight")]
    [TestCase("lm_head.weight")]
    public void Names_of_older_checkpoints(string head) => AssertSame("gpt-neox", Changed("gpt-neox", _ => { }, stored =>
    {
        var tensors = stored.ToDictionary(t => t.Key == "embed_out.weight" ? head : t.Key["gpt_neox.".Length..], t => t.Value);
        (tensors["layers.0.attention.bias"], tensors["layers.0.attention.masked_bias"], tensors["layers.1.attention.rotary_emb.inv_freq"]) = (torch.ones([1, 1, 8, 8]), torch.tensor(-1e9f), torch.ones([2]));
        return tensors;
    }));

    [TestCase("opt-after")]
    [TestCase("opt-plain")]
    public void Opt_without_the_prefix(string family) =>
        AssertSame(family, Changed(family, _ => { }, stored => stored.ToDictionary(t => t.Key.StartsWith("model.", StringComparison.Ordinal) ? t.Key["model.".Length..] : t.Key, t => t.Value)));

    [TestCase("opt-after", "lm_head.weight")]
    [TestCase("gpt-neox-serial", "lm_head.weight")]
    [TestCase("gpt-neox-serial", "embed_out.weight")]
    public void A_tied_matrix_under_the_heads_name(string family, string head) => AssertSame(family, Changed(family, _ => { },
        stored => stored.ToDictionary(t => t.Key.EndsWith("embed_tokens.weight", StringComparison.Ordinal) || t.Key.EndsWith("embed_in.weight", StringComparison.Ordinal) ? head : t.Key, t => t.Value)));

    [Test]
    public void What_is_written_has_the_releases_names()
    {
        var (from, to) = (GoldenFolder.Of("gpt-neox"), Shared.Scratch());
        ModelFolder.Save(to, ModelFolder.Load(from), from);
        using var written = SafetensorsFile.Open(Path.Combine(to, "model.safetensors"));
        using var stored = SafetensorsFile.Open(Path.Combine(from, "model.safetensors"));
        Assert.That(written.Tensors.Select(t => t.Name), Is.EquivalentTo(stored.Tensors.Select(t => t.Name)));
        AssertSame("gpt-neox", to);
    }

    [Test]
    public void A_tied_head_that_differs_is_used_as_it_is_stored([Values("embed_out.weight", "lm_head.weight")] string head)
    {
        var folder = Changed("gpt-neox-serial", _ => { }, stored => new(stored) { [head] = stored["gpt_neox.embed_in.weight"] * 2 });
        var warnings = new List<string>();
        var (model, tied) = (ModelFolder.Load(folder, warnings.Add), ModelFolder.Load(GoldenFolder.Of("gpt-neox-serial")));
        Assert.That(warnings, Has.One.Contains(head));
        Assert.That(Tiny.Worst(GoldenFolder.Logits(model, [3, 5, 8]), GoldenFolder.Logits(tied, [3, 5, 8]) * 2), Is.LessThan(1e-5));
    }

    [TestCase("gpt-neox", """{"rope_parameters":null,"rotary_pct":1.5}""", "rotary_pct")]
    [TestCase("gpt-neox", """{"rope_parameters":null,"rotary_pct":0}""", "rotary_pct")]
    [TestCase("gpt-neox", """{"rope_parameters":null,"rotary_emb_base":-1}""", "rotary_emb_base")]
    [TestCase("gpt-neox", """{"hidden_act":"mish"}""", "hidden_act")]
    [TestCase("gpt-neox", """{"use_parallel_residual":1}""", "use_parallel_residual")]
    [TestCase("opt", """{"word_embed_proj_dim":0}""", "word_embed_proj_dim")]
    [TestCase("opt", """{"activation_function":"quick_gelu"}""", "activation_function")]
    [TestCase("opt", """{"do_layer_norm_before":"no"}""", "do_layer_norm_before")]
    [TestCase("phi", """{"partial_rotary_factor":0,"rope_parameters":null}""", "partial_rotary_factor")]
    [TestCase("phi", """{"hidden_act":"mish"}""", "hidden_act")]
    [TestCase("gptj", """{"rotary_dim":3}""", "rotary_dim is 3; it must be an even number from 2 to 6")]
    [TestCase("gptj", """{"rotary_dim":10}""", "rotary_dim is 10; it must be an even number from 2 to 6")]
    [TestCase("gptj", """{"activation_function":"mish"}""", "activation_function")]
    [TestCase("falcon", """{"alibi":true}""", "alibi is true; it must be false or absent")]
    [TestCase("falcon", """{"activation":"mish"}""", "activation is")]
    [TestCase("falcon", """{"n_embed":12}""", "n_embed")]
    [TestCase("falcon", """{"num_ln_in_parallel_attn":2}""", "num_ln_in_parallel_attn")]
    [TestCase("cohere", """{"use_qk_norm":true}""", "use_qk_norm is true; it must be false or absent")]
    [TestCase("cohere", """{"logit_scale":0}""", "logit_scale")]
    [TestCase("falcon-groups", """{"num_kv_heads":3}""", "num_kv_heads is 3; it must be a divisor of num_attention_heads, which is 4")]
    [TestCase("falcon-groups", """{"parallel_attn":false}""", "parallel_attn")]
    [TestCase("falcon-serial", """{"num_kv_heads":1}""", "num_kv_heads is 1")]
    public void What_cannot_be_is_refused_by_name(string family, string json, string key)
    {
        var folder = Changed(family, config =>
        {
            foreach (var (name, value) in JsonNode.Parse(json)!.AsObject()) config[name] = value?.DeepClone();
        });
        Assert.That(() => ModelFolder.Load(folder), Throws.TypeOf<UserErrorException>().With.Message.Contains(key));
    }

    // As nn.Embedding's padding_idx in OPT's class, whose own pad_token_id is 1.
    [TestCase("""{"pad_token_id":0}""", 0L)]
    [TestCase("""{"pad_token_id":null}""", null)]
    [TestCase("{}", 1L)]
    public void The_row_that_no_gradient_reaches(string json, long? row)
    {
        var config = JsonNode.Parse(File.ReadAllText(Path.Combine(GoldenFolder.Of("opt"), "config.json")))!.AsObject();
        config.Remove("pad_token_id");
        foreach (var (key, value) in JsonNode.Parse(json)!.AsObject()) config[key] = value?.DeepClone();
        Assert.That(ModelArchitectures.BuiltIn.Describe(ModelConfig.Of(JsonSerializer.SerializeToElement(config))).PadToken, Is.EqualTo(row));
    }

    [Test]
    public void Positions_end_where_the_table_does()
    {
        var engine = new LogProbEngine(ModelFolder.Load(GoldenFolder.Of("opt")));
        CompletionGroup Row(int tokens) => new([5], [Completion.Of([.. Enumerable.Range(0, tokens - 1).Select(k => 3 + (k % 50))])]);
        Assert.That(engine.Score([Row(65)], ForwardMode.Plain).Single().LogProb, Is.LessThan(0), "the last token needs no position");
        Assert.That(() => engine.Score([Row(66)], ForwardMode.Plain), Throws.TypeOf<UserErrorException>().With.Message.Contains("64"));
    }
}
