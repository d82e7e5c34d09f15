// A result's vocabulary in families whose tables have names of their own, and the rows of tokens that a model lacks.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Torch;

namespace PeftAlign.Merging.Tests;

public class VocabularyFamilyTests
{
    private static readonly (string Name, string[] Tokens)[] Models = [("a", ["x", "y", "z"]), ("b", ["q", "y", "x"]), ("c", ["x", "w", "v", "q"])];

    private static string Root(string type, string architecture, params (string Name, bool IsTable)[] tensors)
    {
        var root = Workshop.Scratch(type);
        foreach (var (name, tokens) in Models)
        {
            var shapes = tensors.Select(t => (t.Name, t.Name.EndsWith("bias", StringComparison.Ordinal) ? (long[])[tokens.Length] : [t.IsTable ? tokens.Length : 5, 5]));
            var folder = Families.Write(root, name, Families.Config(type, architecture, 1, ("vocab_size", tokens.Length), ("hidden_size", 5), ("num_attention_heads", 1)), shapes);
            var vocabulary = new JsonObject(tokens.Select((token, id) => KeyValuePair.Create(token, (JsonNode?)id)));
            File.WriteAllText(Path.Combine(folder, "tokenizer.json"), new JsonObject { ["added_tokens"] = new JsonArray(), ["model"] = new JsonObject { ["type"] = "BPE", ["vocab"] = vocabulary, ["merges"] = new JsonArray() } }.ToJsonString());
        }
        return root;
    }

    private static string Linear(string more, params (string Model, double Weight)[] models) =>
        $"merge_method: linear\n{more}models:\n" + string.Concat(models.Select(m => string.Create(System.Globalization.CultureInfo.InvariantCulture, $"- {{model: {m.Model}, parameters: {{weight: {m.Weight}}}}}\n")));

    private static Dictionary<string, long> Ids(string folder)
    {
        var json = JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "tokenizer.json")))!;
        var ids = json["model"]!["vocab"]!.AsObject().ToDictionary(t => t.Key, t => (long)t.Value!);
        foreach (var token in json["added_tokens"]!.AsArray()) ids[(string)token!["content"]!] = (long)token["id"]!;
        return ids;
    }

    private static Tensor Row(string root, string model, string table, string token) =>
        Workshop.Tensors(Path.Combine(root, model))[table][Array.IndexOf(Models.Single(m => m.Name == model).Tokens, token)];

    // y is in a and b; what c lacks takes the base's row where there is a base, and the mean without one.
    [TestCase("", "mean")]
    [TestCase("base_model: a\n", "a")]
    [TestCase("base_model: b\n", "b")]
    [TestCase("base_model: c\n", "mean")]
    public void ATokenThatAModelLacksTakesTheBasesRow(string more, string whose)
    {
        using var scope = torch.NewDisposeScope();
        const string Table = "model.embed_tokens.weight";
        var root = Root("llama", "LlamaForCausalLM", (Table, true), ("model.layers.0.mlp.up_proj.weight", false), ("lm_head.weight", true));
        var merged = Families.Merged(root, Linear(more + "tokenizer_source: union\n", ("a", 0), ("b", 0), ("c", 1)), out var folder, out _);
        var (a, b) = (Row(root, "a", Table, "y"), Row(root, "b", Table, "y"));
        Compare.Close("y", merged[Table][Ids(folder)["y"]], whose == "mean" ? (a + b) / 2 : whose == "a" ? a : b, 1e-6, 1e-6);
    }

    [Test]
    public void ASlicesOwnBaseIsTheBase()
    {
        using var scope = torch.NewDisposeScope();
        const string Table = "model.embed_tokens.weight";
        var root = Root("llama", "LlamaForCausalLM", (Table, true), ("model.layers.0.mlp.up_proj.weight", false), ("lm_head.weight", true));
        const string Yaml = "merge_method: linear\nbase_model: a\ntokenizer_source: union\nslices:\n- base_model: b\n  sources: [{model: a, layer_range: [0, 1], parameters: {weight: 0}}, {model: b, layer_range: [0, 1], parameters: {weight: 0}}, {model: c, layer_range: [0, 1], parameters: {weight: 1}}]\n";
        var merged = Families.Merged(root, Yaml, out var folder, out _);
        Compare.Close("y", merged[Table][Ids(folder)["y"]], Row(root, "b", Table, "y"), 1e-6, 1e-6);
    }

    [TestCase("gpt_neox", "GPTNeoXForCausalLM", "gpt_neox.layers.0.attention.dense.weight", "gpt_neox.embed_in.weight", "embed_out.weight")]
    [TestCase("falcon", "FalconForCausalLM", "transformer.h.0.mlp.dense.weight", "transformer.word_embeddings.weight", "lm_head.weight")]
    [TestCase("internlm2", "InternLM2ForCausalLM", "model.layers.0.attention.wo.weight", "model.tok_embeddings.weight", "output.weight")]
    [TestCase("phi", "PhiForCausalLM", "model.layers.0.mlp.fc1.weight", "model.embed_tokens.weight", "lm_head.weight", "lm_head.bias")]
    [TestCase("bert", "BertForMaskedLM", "bert.encoder.layer.0.attention.self.query.weight", "bert.embeddings.word_embeddings.weight", "cls.predictions.bias")]
    [TestCase("roberta", "RobertaForMaskedLM", "roberta.encoder.layer.0.attention.self.query.weight", "roberta.embeddings.word_embeddings.weight", "lm_head.bias", "lm_head.decoder.weight")]
    public void TablesOfEveryFamilyAreMadeAnew(string type, string architecture, string layer, params string[] tables)
    {
        using var scope = torch.NewDisposeScope();
        var root = Root(type, architecture, [(layer, false), .. tables.Select(table => (table, true))]);
        var merged = Families.Merged(root, Linear("base_model: a\ntokenizer: {source: union, pad_to_multiple_of: 4}\n", ("a", 1), ("c", 3)), out var folder, out _);
        var ids = Ids(folder);
        Assert.That(Workshop.Json(Path.Combine(folder, "config.json")).GetProperty("vocab_size").GetInt64(), Is.EqualTo(8));
        foreach (var table in tables)
        {
            Assert.That(merged[table].shape[0], Is.EqualTo(8), table);
            Compare.Close(table + " x", merged[table][ids["x"]], Row(root, "a", table, "x") * 0.25 + Row(root, "c", table, "x") * 0.75, 1e-6, 1e-6);
            Compare.Close(table + " q", merged[table][ids["q"]], Row(root, "c", table, "q"), 1e-6, 1e-6);
            Compare.Close(table + " y", merged[table][ids["y"]], Row(root, "a", table, "y"), 1e-6, 1e-6);
            Compare.Close(table + " padding", merged[table][7], merged[table].slice(0, 0, 6, 1).mean([0L]), 1e-6, 1e-5);
        }
        Assert.That(merged[layer].shape, Is.EqualTo(new long[] { 5, 5 }));
    }

    [Test]
    public void TablesThatAreNotKnownAreRefused()
    {
        void Refused(string root, params string[] words)
        {
            var error = Assert.Throws<UserErrorException>(() => Families.Merged(root, Linear("base_model: a\ntokenizer_source: union\n", ("a", 1), ("c", 3))))!;
            foreach (var word in words) Assert.That(error.Message, Does.Contain(word));
        }
        Refused(Root("odd", "OddForCausalLM", ("model.layers.0.mlp.weight", false), ("model.words.weight", true)), "a: ", "no tensor", "token embedding");
        Refused(Root("odd", "OddForCausalLM", ("model.layers.0.mlp.weight", false), ("model.embed_tokens.weight", true), ("model.words.weight", true)), "a: ", "model.words.weight", "vocab_size");
    }
}
