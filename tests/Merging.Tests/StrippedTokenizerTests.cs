// Tokens that a model has no rows for (added, and the embedding never resized) are no part of a merged vocabulary: their ids are given
// to other tokens, and a file that names both is read by nobody.

using System.Text.Json.Nodes;
using PeftAlign.Models.Text;

namespace PeftAlign.Merging.Tests;

public class StrippedTokenizerTests
{
    private static string Model(string name, Action<JsonObject>? change)
    {
        var (from, folder) = (Workshop.Golden("models", name), Workshop.Scratch(name));
        foreach (var file in Directory.GetFiles(from)) File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
        if (change is null) return folder;
        var json = JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "tokenizer.json")))!.AsObject();
        change(json);
        File.WriteAllText(Path.Combine(folder, "tokenizer.json"), json.ToJsonString());
        return folder;
    }

    private static JsonObject Token(long id, string content) => new() { ["id"] = id, ["content"] = content, ["single_word"] = false, ["lstrip"] = false, ["rstrip"] = false, ["normalized"] = false, ["special"] = true };

    private static string Merged(string first, string second, string source)
    {
        var yaml = $"merge_method: linear\nbase_model: {first}\ntokenizer_source: {source}\nmodels:\n- {{model: {first}, parameters: {{weight: 1}}}}\n- {{model: {second}, parameters: {{weight: 1}}}}\n";
        using var plan = Merger.Plan(yaml, "test.yaml", Workshop.Strategies.Find, path => path);
        var folder = Path.Combine(Workshop.Scratch(), "out");
        new MergeRunner(plan, new MergeOptions()).Write(folder);
        return folder;
    }

    [TestCase("base")]
    [TestCase("union")]
    public void ATokenWithoutARowGoes(string source)
    {
        var plain = Merged(Model("tok-base", null), Model("tok-x", null), source);
        var first = Model("tok-base", json => json["added_tokens"]!.AsArray().Add(Token(16, "[PAD]")));
        var config = Path.Combine(first, "tokenizer_config.json");
        var decoder = JsonNode.Parse(File.ReadAllText(config))!.AsObject();
        decoder["added_tokens_decoder"] = new JsonObject { ["0"] = Token(0, "<pad>"), ["16"] = Token(16, "[PAD]") };
        File.WriteAllText(config, decoder.ToJsonString());
        File.WriteAllText(Path.Combine(first, "added_tokens.json"), """{"<pad>": 0, "[PAD]": 16}""");
        var result = Merged(first, Model("tok-x", null), source);
        var json = JsonNode.Parse(File.ReadAllText(Path.Combine(result, "tokenizer.json")))!;
        Assert.That(JsonNode.DeepEquals(json, JsonNode.Parse(File.ReadAllText(Path.Combine(plain, "tokenizer.json")))), Is.True, json.ToJsonString());
        foreach (var name in (string[])["tokenizer_config.json", "added_tokens.json"]) Assert.That(File.ReadAllText(Path.Combine(result, name)), Does.Contain("<pad>").And.Not.Contain("[PAD]"), name);
        Assert.That(() => TokenizerLoader.Load(result), Throws.Nothing);
    }

    // As TRL leaves them: the second model's <x> takes the id, and what still names the token would have it added once more.
    [TestCase(true)]
    [TestCase(false)]
    public void ARoleOfATokenWithoutARowGoesToo(bool isListed)
    {
        var first = Model("tok-base", json =>
        {
            if (isListed) json["added_tokens"]!.AsArray().Add(Token(16, "[PAD]"));
        });
        var config = Path.Combine(first, "tokenizer_config.json");
        var json = JsonNode.Parse(File.ReadAllText(config))!.AsObject();
        (json["pad_token"], json["add_bos_token"], json["mask_token"]) = ("[PAD]", false, null);
        json["extra_special_tokens"] = new JsonObject { ["own_token"] = "[PAD]", ["kept_token"] = "<pad>" };
        File.WriteAllText(config, json.ToJsonString());
        File.WriteAllText(Path.Combine(first, "special_tokens_map.json"), """{"pad_token": {"content": "[PAD]"}, "sep_token": "<pad>", "additional_special_tokens": ["[PAD]", {"content": "<pad>"}]}""");
        var result = Merged(first, Model("tok-x", null), "union");
        var rows = (int)JsonNode.Parse(File.ReadAllText(Path.Combine(result, "config.json")))!["vocab_size"]!;
        Assert.That(rows, Is.GreaterThan(16), "<x> has the id");
        Assert.That(TokenizerLoader.Load(result).VocabularySize, Is.LessThanOrEqualTo(rows));
        foreach (var name in (string[])["tokenizer_config.json", "special_tokens_map.json"]) Assert.That(File.ReadAllText(Path.Combine(result, name)), Does.Not.Contain("[PAD]").And.Contain("<pad>"), name);
        Assert.That(JsonNode.Parse(File.ReadAllText(Path.Combine(result, "tokenizer_config.json")))!.AsObject(), Contains.Key("add_bos_token").And.ContainKey("mask_token"));
        Assert.That(File.ReadAllText(Path.Combine(result, "special_tokens_map.json")).Where(c => !char.IsWhiteSpace(c)), Is.EqualTo("""{"sep_token":"<pad>","additional_special_tokens":[{"content":"<pad>"}]}"""));
    }

    [Test]
    public void MergesOfTokensThatGoGoToo()
    {
        var json = JsonNode.Parse("""
            {"added_tokens": [], "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "abb": 3, "abbb": 4}, "merges": [["a", "b"], "ab b", ["abb", "b"]]}}
            """)!.AsObject();
        var model = StrippedTokenizer.Of(json, 3)["model"]!;
        Assert.That(model["vocab"]!.AsObject().Select(pair => pair.Key), Is.EqualTo(new[] { "a", "b", "ab" }));
        Assert.That(model["merges"]!.ToJsonString(), Is.EqualTo("""[["a","b"]]"""));
        Assert.That(json["model"]!["vocab"]!.AsObject(), Has.Count.EqualTo(5), "the input stays");
    }
}
