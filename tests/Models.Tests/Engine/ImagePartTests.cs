// Gemma 3 with a part that reads images: the text part's keys and names, and what becomes of the other part's weights.

using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models.Adapters;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Classifiers;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Tests.Checkpoints;
using PeftAlign.Torch;

namespace PeftAlign.Models.Tests.Engine;

public sealed class ImagePartTests : ScopedTest
{
    private const string Family = "gemma3-images", Queries = "model.language_model.layers.1.self_attn.q_proj";

    private static string Base => GoldenFolder.Of(Family);

    private static DecoderModel Load(string folder)
    {
        var warnings = new List<string>();
        var model = ModelFolder.Load(folder, warnings.Add, device: TestDevice.Here);
        Assert.That(warnings, Is.Empty);
        return model;
    }

    private static Dictionary<string, Tensor> Stored(string folder)
    {
        using var checkpoint = CheckpointFolder.Open(folder);
        return checkpoint.Names.ToDictionary(name => name, checkpoint.Tensor);
    }

    private static JsonObject Config(string folder) => JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "config.json")))!.AsObject();

    private static string Changed(Action<JsonObject> config, Func<string, string>? rename = null)
    {
        var folder = Shared.Scratch();
        Shared.Copy(Base, folder);
        var json = Config(folder);
        config(json);
        File.WriteAllText(Path.Combine(folder, "config.json"), json.ToJsonString());
        if (rename is not null) CheckpointFolder.Write(folder, Stored(Base).ToDictionary(t => rename(t.Key), t => t.Value.clone()));
        return folder;
    }

    // Those of google/gemma-3-4b-it, which leaves out what equals the class's own, and of the 27B, which says more.
    [TestCase("""{"hidden_size":2560,"intermediate_size":10240,"model_type":"gemma3_text","num_hidden_layers":34,"rope_scaling":{"factor":8.0,"rope_type":"linear"},"sliding_window":1024}""", 8, 4, 256, 256)]
    [TestCase("""{"head_dim":128,"hidden_size":5376,"intermediate_size":21504,"model_type":"gemma3_text","num_attention_heads":32,"num_hidden_layers":62,"num_key_value_heads":16,"query_pre_attn_scalar":168,"rope_scaling":{"factor":8.0,"rope_type":"linear"},"sliding_window":1024}""", 32, 16, 128, 168)]
    public void The_releases_keys(string text, int heads, int keys, int width, int scalar)
    {
        var json = $$$"""{"architectures":["Gemma3ForConditionalGeneration"],"model_type":"gemma3","eos_token_id":[1,106],"torch_dtype":"bfloat16","text_config":{{{text}}},"vision_config":{"hidden_size":1152,"num_hidden_layers":27,"model_type":"siglip_vision_model"}}""";
        var config = ModelConfig.Of(JsonDocument.Parse(json).RootElement);
        var spec = ModelArchitectures.BuiltIn.Describe(config);
        Assert.That((spec.Heads, spec.KeyValueHeads, spec.HeadWidth, spec.Vocabulary, spec.TiedHead, spec.PadToken), Is.EqualTo((heads, keys, width, 262208, true, 0)));
        Assert.That((spec.ScoreScale, spec.MaxPositions), Is.EqualTo((1 / Math.Sqrt(scalar), 131072)));
        Assert.That((config.EosTokenIds, config.BosTokenId, config.DType), Is.EqualTo(((IReadOnlyList<int>)[1, 106], 2, torch.ScalarType.BFloat16)));
        Assert.That(config.Whole.GetProperty("vision_config").GetProperty("num_hidden_layers").GetInt32(), Is.EqualTo(27));
        Assert.That(spec.Weights().First().Name, Is.EqualTo("model.language_model.embed_tokens.weight"));
    }

    [Test]
    public void The_text_part_is_gemma3_texts()
    {
        var folder = Shared.Scratch();
        var text = Config(Base)["text_config"]!.DeepClone().AsObject();
        text["architectures"] = new JsonArray("Gemma3ForCausalLM");
        File.WriteAllText(Path.Combine(folder, "config.json"), text.ToJsonString());
        CheckpointFolder.Write(folder, Stored(Base).Where(t => t.Key.StartsWith("language_model.", StringComparison.Ordinal)).ToDictionary(t => t.Key["language_model.".Length..], t => t.Value));
        foreach (var row in new GoldenFolder(Base).Rows())
            Assert.That(Tiny.Worst(GoldenFolder.Logits(Load(Base), row), GoldenFolder.Logits(Load(folder), row)), Is.Zero);
    }

    // As modules are called, and what is written is called as in releases, with the other part's weights as they were.
    [TestCase(true)]
    [TestCase(false)]
    public void What_is_saved_has_both_parts(bool asModules)
    {
        var from = asModules ? Changed(_ => { }, name => name.StartsWith("language_model.model.", StringComparison.Ordinal) ? "model.language_model." + name["language_model.model.".Length..] : "model." + name) : Base;
        var model = Load(from);
        foreach (var (name, weight) in model.Weights) model.SetWeight(name, weight + 1);
        var to = Shared.Scratch();
        ModelFolder.Save(to, model, from);
        var (before, after) = (Stored(Base), Stored(to));
        Assert.That(after.Keys, Is.EquivalentTo(before.Keys));
        foreach (var (name, tensor) in before)
            Assert.That(Tiny.Worst(after[name], name.StartsWith("language_model.", StringComparison.Ordinal) ? tensor + 1 : tensor), Is.Zero, name);
        Assert.That(JsonNode.DeepEquals(Config(to)["text_config"], Config(Base)["text_config"]) && JsonNode.DeepEquals(Config(to)["vision_config"], Config(Base)["vision_config"]), Is.True);
        Assert.That(Load(to).Weights.Keys, Is.EquivalentTo(model.Weights.Keys));
    }

    [TestCase(null)]
    [TestCase(torch.ScalarType.BFloat16)]
    public void A_merged_adapter_leaves_the_other_part(torch.ScalarType? dtype)
    {
        var low = new LowRank(Tiny.Normal("a", [2, 8], torch.float32), Tiny.Normal("b", [8, 2], torch.float32), 1, 0);
        var to = Shared.Scratch();
        var (changed, all, _) = AdapterMerge.Write(to, Base, _ => [new AdapterSite(Queries, low)], null, dtype);
        var (before, after) = (Stored(Base), Stored(to));
        Assert.That((changed, all), Is.EqualTo((1, before.Count)));
        Assert.That(after.Keys, Is.EquivalentTo(before.Keys));
        var type = dtype ?? torch.float32;
        Assert.That(after.Values.Select(t => t.dtype).Distinct(), Is.EqualTo((torch.ScalarType[])[type]));
        const string Changed = "language_model.model.layers.1.self_attn.q_proj.weight";
        foreach (var (name, tensor) in before)
            Assert.That(Tiny.Worst(after[name], (name == Changed ? tensor + low.B.cpu().mm(low.A.cpu()) : tensor).to(type)), Is.LessThan(name == Changed ? 1e-2 : 1e-9), name);
        Assert.That(Tiny.Worst(after[Changed], before[Changed]), Is.GreaterThan(0.1));
    }

    [Test]
    public void A_head_that_is_not_tied_has_its_files_name()
    {
        var folder = Changed(json => json["tie_word_embeddings"] = false);
        var head = Tiny.Normal("head", [24, 8], torch.float32).cpu();
        CheckpointFolder.Write(folder, [.. Stored(Base), KeyValuePair.Create("language_model.lm_head.weight", head)]);
        var model = Load(folder);
        Assert.That((model.Spec.TiedHead, Tiny.Worst(model.Head.cpu(), head)), Is.EqualTo((false, 0.0)));
        var to = Shared.Scratch();
        ModelFolder.Save(to, model, folder);
        Assert.That(Tiny.Worst(Stored(to)["language_model.lm_head.weight"], head), Is.Zero);
    }

    [Test]
    public void New_tokens_are_counted_in_the_text_part()
    {
        var (model, folder) = (Load(Base), Shared.Scratch());
        var rows = model.Spec.Vocabulary + 3;
        var table = Tiny.Normal("table", [rows, 8], torch.float32);
        var tables = new Dictionary<string, Tensor> { ["base_model.model.model.language_model.embed_tokens.weight"] = table };
        AdapterMerge.Write(folder, Base, _ => [], null, null, tables: tables);
        Assert.That(((long)Config(folder)["text_config"]!["vocab_size"]!, Config(folder)["vocab_size"]), Is.EqualTo((rows, (JsonNode?)null)));
        Assert.That(Tiny.Worst(Load(folder).Head, table), Is.Zero);
    }

    // PEFT's targets mean layers of the other part too.
    [Test]
    public void An_adapters_tensors_of_the_other_part_change_nothing_or_are_refused()
    {
        var outline = Load(Base).Outline(Base);
        const string Own = "base_model.model.model.language_model.layers.0.self_attn.q_proj.lora_A.weight", Other = "base_model.model.model.vision_tower.encoder.layers.0.self_attn.q_proj.";
        Dictionary<string, Tensor> Files(Tensor b, string own = Own, string other = Other) => new() { [own] = torch.ones([2, 8]), [other + "lora_A.weight"] = torch.ones([2, 4]), [other + "lora_B.weight"] = b };
        IEnumerable<string> Kept(Dictionary<string, Tensor> files) => BesideParts.Without(outline, new AdapterFiles([], files)).Tensors.Keys;
        Assert.That(Kept(Files(torch.zeros([4, 2]))), Is.EqualTo((string[])[Own]));
        Assert.That(Kept(Files(torch.zeros([4, 2]), "base_model.model.language_model.model.layers.0.self_attn.q_proj.lora_A.weight", "base_model.model.vision_tower.encoder.layers.0.self_attn.q_proj.")), Is.EqualTo((string[])[Own]));
        Assert.That(Kept(new() { [Other + "ia3_l"] = torch.ones([4, 1]) }), Is.Empty);
        Assert.That(() => Kept(Files(torch.ones([4, 2]))), Throws.TypeOf<UserErrorException>().With.Message.Contains(Other + "lora_B.weight").And.Message.Contains("reads images"));
        Assert.That(() => Kept(new() { [Other + "ia3_l"] = torch.zeros([4, 1]) }), Throws.TypeOf<UserErrorException>());
        Assert.That(() => Kept(new() { [Other + "weight"] = torch.ones([4, 4]) }), Throws.TypeOf<UserErrorException>());
    }

    [TestCase("""{"text_config":{"hidden_size":-1}}""", "text_config.hidden_size is -1")]
    [TestCase("""{"text_config":{"model_type":"llama"}}""", "text_config.model_type is 'llama'; it must be gemma3_text or absent")]
    [TestCase("""{"text_config":{"final_logit_softcapping":30}}""", "text_config.final_logit_softcapping is 30")]
    [TestCase("""{"text_config":{"rope_parameters":{"full_attention":{"rope_type":"odd"}}}}""", "text_config.rope_parameters.full_attention.rope_type is")]
    [TestCase("""{"text_config":7}""", "text_config is 7; it must be an object")]
    [TestCase("""{"tie_word_embeddings":7}""", ": tie_word_embeddings is 7")]
    public void A_wrong_key_is_named_where_it_stands(string json, string message)
    {
        var folder = Changed(config =>
        {
            foreach (var (key, value) in JsonNode.Parse(json)!.AsObject())
                if (value is JsonObject inner)
                    foreach (var (own, wanted) in inner) config[key]![own] = wanted?.DeepClone();
                else
                    config[key] = value!.DeepClone();
        });
        Assert.That(() => ModelFolder.Load(folder), Throws.TypeOf<UserErrorException>().With.Message.Contains(message));
    }

    [Test]
    public void Scores_are_refused()
    {
        Assert.That(() => RewardFolder.Load(Base, 1), Throws.TypeOf<UserErrorException>().With.Message.Contains("model_type is 'gemma3'").And.Message.Contains("gemma3_text"));
        var folder = Changed(json => json["architectures"] = new JsonArray("Gemma3ForSequenceClassification"));
        Assert.That(() => ClassifierFolder.Load(folder), Throws.TypeOf<UserErrorException>().With.Message.Contains("gemma3_text"));
    }
}
