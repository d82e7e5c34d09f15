// Post-processors one behind the other, added tokens that take white space, and pieces that a list holds twice: ids, types and masks
// are those of tokenizers 0.23.3.
using PeftAlign.Abstractions;
using PeftAlign.Models.Text;

namespace PeftAlign.Models.Tests.Text;

public class PostProcessorTests
{
    private const string Bert = """{"type": "BertProcessing", "sep": ["</s>", 2], "cls": ["<s>", 1]}""";
    private const string Roberta = """{"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 1], "trim_offsets": true, "add_prefix_space": true}""";
    private const string First = """{"SpecialToken": {"id": "<s>", "type_id": 0}}""", Last = """{"SpecialToken": {"id": "</s>", "type_id": 0}}""";
    private const string A = """{"Sequence": {"id": "A", "type_id": 0}}""", B = """{"Sequence": {"id": "B", "type_id": 1}}""";
    private const string Special = """{"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}, "</s>": {"id": "</s>", "ids": [2], "tokens": ["</s>"]}}""";
    private const string Before = $$"""{"type": "TemplateProcessing", "single": [{{First}}, {{A}}], "pair": [{{First}}, {{A}}, {{B}}], "special_tokens": {{Special}}}""";
    private const string Behind = $$"""{"type": "TemplateProcessing", "single": [{{A}}, {{Last}}], "pair": [{{A}}, {{Last}}, {{B}}], "special_tokens": {{Special}}}""";

    [TestCase(Roberta, Behind, null, new[] { 1, 3, 4, 3, 2, 2 }, new[] { 0, 0, 0, 0, 0, 0 }, new[] { 1, 0, 0, 0, 1, 1 })]
    [TestCase(Roberta, Behind, "b b", new[] { 1, 3, 4, 3, 2, 2, 2, 4, 4, 2 }, new[] { 0, 0, 0, 0, 0, 0, 1, 1, 1, 1 }, new[] { 1, 0, 0, 0, 1, 1, 1, 0, 0, 1 })]
    [TestCase(Bert, Behind, null, new[] { 1, 3, 4, 3, 2, 2 }, new[] { 0, 0, 0, 0, 0, 0 }, new[] { 1, 0, 0, 0, 1, 1 })]
    [TestCase(Bert, Behind, "b b", new[] { 1, 3, 4, 3, 2, 2, 4, 4, 2 }, new[] { 0, 0, 0, 0, 0, 0, 1, 1, 1 }, new[] { 1, 0, 0, 0, 1, 1, 0, 0, 1 })]
    [TestCase(Bert, Roberta, null, new[] { 1, 1, 3, 4, 3, 2, 2 }, new[] { 0, 0, 0, 0, 0, 0, 0 }, new[] { 1, 0, 0, 0, 0, 0, 1 })]
    [TestCase(Bert, Roberta, "b b", new[] { 1, 1, 3, 4, 3, 2, 2, 2, 4, 4, 2, 2 }, new[] { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }, new[] { 1, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 1 })]
    [TestCase(Roberta, Bert, "b b", new[] { 1, 1, 3, 4, 3, 2, 2, 2, 4, 4, 2, 2 }, new[] { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 }, new[] { 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1 })]
    [TestCase(Before, Behind, null, new[] { 1, 2, 3, 4, 3 }, new[] { 0, 0, 1, 1, 1 }, new[] { 1, 1, 0, 0, 0 })]
    [TestCase(Before, Bert, null, new[] { 1, 1, 2, 3, 4, 3, 2 }, new[] { 0, 0, 0, 0, 0, 0, 1 }, new[] { 1, 0, 1, 0, 0, 0, 1 })]
    [TestCase(Before, Bert, "b b", new[] { 1, 1, 2, 3, 4, 3, 2, 4, 4, 2 }, new[] { 0, 0, 0, 0, 0, 0, 1, 1, 1, 1 }, new[] { 1, 0, 1, 0, 0, 0, 1, 0, 0, 1 })]
    public void Steps_that_add_tokens_keep_the_text(string first, string second, string? pair, int[] ids, int[] types, int[] special)
    {
        var tokenizer = Words(first, second);
        var encoded = ((ITokenizerDetails)tokenizer).Encode("a b a", pair);
        Assert.That(encoded.Ids, Is.EqualTo(ids));
        Assert.That(encoded.TypeIds, Is.EqualTo(types));
        Assert.That(encoded.SpecialTokensMask, Is.EqualTo(special));
        if (pair is null) Assert.That(tokenizer.EncodeToIds("a b a"), Is.EqualTo(ids));
        var plain = ((ITokenizerDetails)tokenizer).Encode("a b a", pair, new EncodeOptions { AddSpecialTokens = false });
        Assert.That(plain.Ids, Is.EqualTo(pair is null ? new[] { 3, 4, 3 } : [3, 4, 3, 4, 4]));
    }

    [Test]
    public void A_template_of_more_than_two_parts_is_refused() =>
        Assert.That(() => ((ITokenizerDetails)Words(Before, Behind)).Encode("a", "b"), Throws.InstanceOf<TokenizerException>().With.Message.Contains("3 parts"));

    [TestCase(true, true, "\n\na", new[] { 3, 0 })]
    [TestCase(true, true, "a \n \nb", new[] { 0, 3, 2 })]
    [TestCase(true, true, "a\n\n\n", new[] { 0, 3 })]
    [TestCase(false, true, "\n\na", new[] { 3, 3, 0 })]
    [TestCase(true, false, "\n\na", new[] { 3, 3, 0 })]
    [TestCase(true, false, "a \n \nb", new[] { 0, 3, 3, 2 })]
    public void A_white_space_token_that_strips_is_there_once(bool left, bool right, string text, int[] ids)
    {
        var tokenizer = Load($$"""
            {"added_tokens": [{"id": 3, "content": "\n", "single_word": false, "lstrip": {{Json(left)}}, "rstrip": {{Json(right)}}, "normalized": false, "special": true}],
             "model": {"type": "BPE", "vocab": {"a": 0, " ": 1, "b": 2}, "merges": []} }
            """);
        Assert.That(tokenizer.EncodeToIds(text), Is.EqualTo(ids));
    }

    [Test]
    public void A_special_piece_that_the_list_holds_twice_is_skipped_twice()
    {
        var tokenizer = Load("""
            {"added_tokens": [{"id": 4, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}],
             "model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["a", -1.0], ["<s>", -2.0], ["b", -1.0], ["<s>", -3.0]], "byte_fallback": false}}
            """);
        Assert.That(tokenizer.Decode([1, 2, 3], skipSpecialTokens: true), Is.EqualTo("a b"));
        Assert.That(tokenizer.Decode([1, 4, 3], skipSpecialTokens: true), Is.EqualTo("a b"));
        Assert.That(tokenizer.Decode([1, 2, 3]), Is.EqualTo("a <s> b"));
    }

    private static ITokenizer Words(string first, string second) => Load($$"""
        {"pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": {"type": "Sequence", "processors": [{{first}}, {{second}}]},
         "model": {"type": "WordLevel", "vocab": {"[UNK]": 0, "<s>": 1, "</s>": 2, "a": 3, "b": 4}, "unk_token": "[UNK]"} }
        """);

    private static ITokenizer Load(string json)
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(Path.Combine(folder.Path, "tokenizer.json"), json);
        return TokenizerLoader.Load(folder.Path);
    }

    private static string Json(bool flag) => flag ? "true" : "false";
}
