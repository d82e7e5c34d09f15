// What tokenizer_config.json, special_tokens_map.json and added_tokens.json say beside a tokenizer.json, against what transformers
// makes of the same folders (AutoTokenizer, tokenizer_class PreTrainedTokenizerFast).
using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models.Templates;
using PeftAlign.Models.Text;

namespace PeftAlign.Models.Tests.Text;

public class FolderConfigTests
{
    private const string Flags = "\"lstrip\": false, \"single_word\": false, \"__type\": \"AddedToken\"";

    // qwen2_split has the ids 0 to 704, of which 700 to 704 are added tokens.
    [TestCase("""{"added_tokens_decoder": {"702": {"content": "<|im_end|>", "rstrip": true, "special": true}}}""", "x <|im_end|>   y", new[] { 87, 220, 702, 88 }, TestName = "flags of the configuration replace those of a token")]
    [TestCase("""{"added_tokens_decoder": {"900": {"content": "<|im_end|>", "rstrip": true, "special": true}}}""", "x <|im_end|>   y", new[] { 87, 220, 702, 88 }, TestName = "and the token keeps its id")]
    [TestCase("""{"added_tokens_decoder": {"702": {"content": "<|im_end|>", "lstrip": true, "single_word": true, "normalized": true, "special": false}}}""", "x <|im_end|>   y", new[] { 87, 702, 220, 220, 296 }, TestName = "all four flags count")]
    [TestCase("""{"added_tokens_decoder": {"702": {"content": "<|im_end|>", "lstrip": true, "single_word": true, "normalized": true, "special": false}}}""", "x<|im_end|>y", new[] { 87, 27, 91, 325, 62, 414, 91, 29, 88 }, TestName = "a single word stands alone")]
    [TestCase("""{"added_tokens_decoder": {"87": {"content": "x", "rstrip": true, "normalized": false, "special": true}}}""", "ax b", new[] { 64, 87, 65 }, TestName = "a word of the vocabulary becomes a token")]
    [TestCase("""{"additional_special_tokens": ["<|user|>", "<|new|>"]}""", "a <|user|> b <|new|>c", new[] { 64, 220, 705, 265, 220, 706, 66 }, TestName = "additional_special_tokens get the next ids")]
    [TestCase("""{"extra_special_tokens": ["<|user|>", "<|new|>"]}""", "a <|user|> b <|new|>c", new[] { 64, 220, 705, 265, 220, 706, 66 }, TestName = "extra_special_tokens too")]
    [TestCase("""{"extra_special_tokens": ["<|user|>", "<|new|>"], "additional_special_tokens": ["<|zz|>"]}""", "a <|user|> b <|new|>c<|zz|>", new[] { 64, 220, 705, 265, 220, 706, 66, 27, 91, 89, 89, 91, 29 }, TestName = "of both lists the newer counts")]
    [TestCase("""{"extra_special_tokens": {"image_token": "<|user|>"}}""", "a <|user|> b <|new|>c", new[] { 64, 220, 705, 265, 220, 27, 91, 525, 86, 91, 29, 66 }, TestName = "extra_special_tokens with names")]
    [TestCase("""{"eos_token": "</s>", "bos_token": "<s>", "pad_token": "<pad>"}""", "x </s> y <s><pad>", new[] { 87, 220, 706, 296, 220, 705, 707 }, TestName = "roles in the order bos eos unk sep pad cls mask")]
    [TestCase("""{"mask_token": "<extra>", "cls_token": "<|new|>", "sep_token": "<sp>", "unk_token": "<uk>"}""", "x <extra> y <|new|><sp><uk>", new[] { 87, 220, 708, 296, 220, 707, 706, 705 }, TestName = "sep cls and mask are roles")]
    [TestCase("""{"eot_token": "<|new|>", "add_bos_token": false}""", "x y <|new|>", new[] { 87, 296, 220, 705 }, TestName = "a role of the model's own")]
    [TestCase("""{"eos_token": {"content": "</s>", "rstrip": true, "normalized": true, """ + Flags + """}, "additional_special_tokens": [{"content": "<|w|>", "rstrip": false, "normalized": false, "lstrip": true, "__type": "AddedToken"}]}""", "x </s>  y  <|w|>", new[] { 87, 220, 705, 88, 706 }, TestName = "named tokens have flags")]
    [TestCase("""{"eos_token": "x", "additional_special_tokens": ["y"]}""", "ax byz", new[] { 64, 87, 265, 88, 89 }, TestName = "named words of the vocabulary keep their ids")]
    public void Tokens_of_the_configuration_are_those_of_transformers(string config, string text, int[] ids)
    {
        using var folder = Folder("qwen2_split", ("tokenizer_config.json", config));
        var tokenizer = TokenizerLoader.Load(folder.Path);
        Assert.That(tokenizer.EncodeToIds(text), Is.EqualTo(ids));
        Assert.That(((ITokenizerDetails)tokenizer).Encode(text).Ids, Is.EqualTo(ids));
    }

    // Fixtures/named-tokens.json, by transformers 5.23 (Fixtures/make/named-tokens.py).
    private static IEnumerable<TestCaseData> NamedTokens() =>
        JsonNode.Parse(File.ReadAllText(SharedFolder.Path("named-tokens.json")))!.AsArray().Select(row => new TestCaseData(row).SetName($"named tokens: {row!["name"]}"));

    [TestCaseSource(nameof(NamedTokens))]
    public void Files_that_differ_are_read_as_transformers_reads_them(JsonNode row)
    {
        using var folder = Folder("qwen2_split", [.. row["files"]!.AsObject().Select(file => (file.Key, file.Value!.ToJsonString()))]);
        var tokenizer = TokenizerLoader.Load(folder.Path);
        var ids = tokenizer.EncodeToIds((string)row["text"]!);
        Assert.That(ids, Is.EqualTo(row["ids"].Deserialize<int[]>()));
        Assert.That(tokenizer.Decode(ids, skipSpecialTokens: true), Is.EqualTo((string)row["plain"]!));
        Assert.That(tokenizer.VocabularySize, Is.EqualTo((int)row["size"]!));
        Assert.That(ChatTemplateLoader.SpecialTokens(folder.Path), Is.EqualTo(row["roles"].Deserialize<Dictionary<string, string>>()));
        foreach (var (role, id) in new[] { ("bos_token", tokenizer.SpecialTokens.Bos), ("eos_token", tokenizer.SpecialTokens.Eos), ("pad_token", tokenizer.SpecialTokens.Pad) })
            Assert.That(id is { } known ? tokenizer.Decode([known]) : "", Is.EqualTo((string?)row["roles"]![role] ?? ""), role);
    }

    [Test]
    public void The_older_files_name_tokens_too()
    {
        using var folder = Folder("qwen2_split", ("special_tokens_map.json", """{"additional_special_tokens": ["<|user|>"], "eos_token": "</s>"}"""), ("added_tokens.json", """{"<|r|>": 705}"""));
        var tokenizer = TokenizerLoader.Load(folder.Path);
        Assert.That(tokenizer.EncodeToIds("ax</s> <|user|><|r|>"), Is.EqualTo(new[] { 64, 87, 706, 220, 707, 705 }));
        Assert.That((tokenizer.SpecialTokens.Eos, tokenizer.VocabularySize), Is.EqualTo(((int?)706, 708)));
        Assert.That(tokenizer.Decode([64, 705, 706, 707], skipSpecialTokens: true), Is.EqualTo("a<|r|>"), "what has no role there is an ordinary token");
    }

    // A configuration with added_tokens_decoder is a newer one: what the older files name beside it does not count.
    [Test]
    public void Beside_the_decoder_the_older_map_adds_nothing()
    {
        using var folder = Folder("qwen2_split", ("tokenizer_config.json", """{"added_tokens_decoder": {}}"""), ("special_tokens_map.json", """{"additional_special_tokens": ["<|user|>"]}"""));
        Assert.That(TokenizerLoader.Load(folder.Path).VocabularySize, Is.EqualTo(705));
    }

    [Test]
    public void Roles_that_the_vocabulary_lacks_have_ids()
    {
        using var folder = Folder("qwen2_split", ("tokenizer_config.json", """{"eos_token": "</s>", "bos_token": "<s>", "pad_token": "<pad>"}"""));
        var special = TokenizerLoader.Load(folder.Path).SpecialTokens;
        Assert.That((special.Bos, special.Eos, special.Pad), Is.EqualTo(((int?)705, (int?)706, (int?)707)));
        Assert.That(special.All, Is.SupersetOf(new[] { 705, 706, 707 }));
    }

    [TestCase("unigram_trained", true, "hello , do n't you ? yes .", "hello, don't you? yes.")]
    [TestCase("unigram_trained", false, "hello , do n't you ? yes .", "hello , do n't you ? yes .")]
    [TestCase("qwen2_split", true, "hello , do n't you ? yes .", "hello , do n't you ? yes .")] // transformers 5 leaves BPE alone
    public void Blanks_are_cleaned_up_where_the_configuration_says_so(string name, bool cleans, string text, string decoded)
    {
        using var folder = Folder(name, ("tokenizer_config.json", new JsonObject { ["clean_up_tokenization_spaces"] = cleans }.ToJsonString()));
        var tokenizer = TokenizerLoader.Load(folder.Path);
        var ids = tokenizer.EncodeToIds(text);
        Assert.That(tokenizer.Decode(ids, skipSpecialTokens: true), Is.EqualTo(decoded));
        var stream = ((ITokenizerDetails)tokenizer).CreateStream(skipSpecialTokens: true);
        Assert.That(string.Concat(ids.Select(stream.Step)) + stream.Flush(), Is.EqualTo(decoded), "streamed");
    }

    [Test]
    public void BPE_is_cleaned_up_where_that_is_asked_for_by_its_long_name()
    {
        using var folder = Folder("qwen2_split", ("tokenizer_config.json", """{"clean_up_tokenization_spaces": true, "clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output": true}"""));
        var tokenizer = TokenizerLoader.Load(folder.Path);
        Assert.That(tokenizer.Decode(tokenizer.EncodeToIds("hello , I 'm")), Is.EqualTo("hello, I'm"));
    }

    [Test]
    public void Special_tokens_are_split_where_the_configuration_says_so()
    {
        using var folder = Folder("qwen2_split", ("tokenizer_config.json", """{"split_special_tokens": true}"""));
        var tokenizer = TokenizerLoader.Load(folder.Path);
        var details = (ITokenizerDetails)tokenizer;
        int[] split = [87, 27, 91, 325, 62, 414, 91, 29, 703];
        Assert.That(tokenizer.EncodeToIds("x<|im_end|><tool_call>"), Is.EqualTo(split), "703 is no special token");
        Assert.That(details.Encode("x<|im_end|><tool_call>").Ids, Is.EqualTo(split));
        Assert.That(tokenizer.CountTokens("x<|im_end|><tool_call>"), Is.EqualTo(split.Length));
        Assert.That(details.Encode("x<|im_end|>", options: new EncodeOptions { SpecialTokensAsText = false }).Ids, Is.EqualTo(new[] { 87, 702 }), "a call may say otherwise");
    }

    // What AutoTokenizer of transformers 5.23 gives for the same folders: the class sets ByteLevel's blank and BERT's switches.
    [TestCase("bytelevel_gpt2", """{"tokenizer_class": "GPT2TokenizerFast", "add_prefix_space": true}""", null, "Hello a", new[] { 641, 386, 79, 261 })]
    [TestCase("bytelevel_gpt2", """{"tokenizer_class": "GPT2Tokenizer"}""", null, "Hello a", new[] { 40, 386, 79, 261 })]
    [TestCase("bytelevel_gpt2", """{"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": true}""", "llama", "Hello a", new[] { 641, 386, 79, 261 })]
    [TestCase("bytelevel_gpt2", """{"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": true}""", "olmo2", "Hello a", new[] { 40, 386, 79, 261 })]
    [TestCase("bytelevel_gpt2", """{"tokenizer_class": "PreTrainedTokenizerFast", "add_prefix_space": true}""", null, "Hello a", new[] { 40, 386, 79, 261 })]
    [TestCase("bytelevel_gpt2", """{"add_prefix_space": true}""", "gpt2", "Hello a", new[] { 641, 386, 79, 261 })]
    [TestCase("qwen2_split", """{"tokenizer_class": "Qwen2TokenizerFast", "add_prefix_space": true}""", null, "Hello a", new[] { 638, 385, 78, 260 })]
    [TestCase("qwen2_split", """{"tokenizer_class": "LlamaTokenizerFast", "add_prefix_space": true}""", "qwen2", "Hello a", new[] { 638, 385, 78, 260 })]
    [TestCase("bytelevel_roberta", """{"tokenizer_class": "RobertaTokenizer"}""", null, "Hello a", new[] { 0, 43, 396, 82, 264, 2 })]
    [TestCase("bytelevel_roberta", """{"tokenizer_class": "RobertaTokenizer", "add_prefix_space": true}""", null, "Hello a", new[] { 0, 400, 396, 82, 264, 2 })]
    [TestCase("bert_uncased", """{"tokenizer_class": "BertTokenizer", "do_lower_case": false}""", null, "Héllo a", new[] { 2, 1, 30, 3 })]
    [TestCase("bert_uncased", """{"tokenizer_class": "BertTokenizerFast", "strip_accents": false}""", null, "Héllo a", new[] { 2, 1, 30, 3 })]
    [TestCase("bert_uncased", """{"tokenizer_class": "BertTokenizerFast", "tokenize_chinese_chars": false}""", null, "日本 a", new[] { 2, 1, 30, 3 })]
    [TestCase("bert_cased_strip", """{"tokenizer_class": "BertTokenizer"}""", null, "Héllo WORLD", new[] { 2, 352, 218, 128, 411, 3 })]
    [TestCase("bert_cased_strip", """{"tokenizer_class": "BertTokenizer", "do_lower_case": false}""", null, "Héllo WORLD", new[] { 2, 1, 1, 3 })]
    [TestCase("bert_cased_strip", """{"tokenizer_class": "BertTokenizer", "do_lower_case": false, "strip_accents": true}""", null, "Héllo WORLD", new[] { 2, 35, 656, 1, 3 })]
    [TestCase("bert_cased_strip", """{"do_lower_case": true}""", "bert", "Héllo WORLD", new[] { 2, 352, 218, 128, 411, 3 })]
    public void A_class_sets_what_it_takes_from_the_configuration(string name, string config, string? modelType, string text, int[] ids)
    {
        using var folder = Folder(name, ("tokenizer_config.json", config));
        if (modelType is not null) File.WriteAllText(Path.Combine(folder.Path, "config.json"), $"{{\"model_type\": \"{modelType}\"}}");
        var tokenizer = TokenizerLoader.Load(folder.Path);
        Assert.That(tokenizer.EncodeToIds(text), Is.EqualTo(ids));
        Assert.That(((ITokenizerDetails)tokenizer).Encode(text).Ids, Is.EqualTo(ids));
    }

    // Which class it is goes by the model's type where no file names one. Without special tokens, which some of these classes name anew.
    [TestCase("bytelevel_gpt2", "blenderbot blip-2 data2vec-text deberta florence2 gpt-sw3 internvl led lilt mvp qwen2_audio qwen3_5_text vibevoice whisper xlstm", "Hello a", new[] { 641, 386, 79, 261 })]
    [TestCase("bytelevel_gpt2", "glm granite mega nezha nystromformer", "Hello a", new[] { 40, 386, 79, 261 })]
    [TestCase("bert_cased_strip", "align blip funnel grounding-dino layoutlm lxmert vilt", "Héllo WORLD", new[] { 352, 218, 128, 411 })]
    public void A_model_type_has_a_class(string name, string types, string text, int[] ids)
    {
        using var folder = Folder(name, ("tokenizer_config.json", """{"add_prefix_space": true, "do_lower_case": true}"""));
        foreach (var type in types.Split(' '))
        {
            File.WriteAllText(Path.Combine(folder.Path, "config.json"), $"{{\"model_type\": \"{type}\"}}");
            Assert.That(TokenizerLoader.Load(folder.Path).EncodeToIds(text, addSpecialTokens: false), Is.EqualTo(ids), type);
        }
    }

    // Offsets too, which the class' post-processor trims.
    [TestCase("false", 43)]
    [TestCase("true", 400)]
    public void Offsets_of_RoBERTa_leave_its_blank_out(string space, int first)
    {
        using var folder = Folder("bytelevel_roberta", ("tokenizer_config.json", $$"""{"tokenizer_class": "RobertaTokenizer", "add_prefix_space": {{space}}}"""));
        var encoded = ((ITokenizerDetails)TokenizerLoader.Load(folder.Path)).Encode("Hello a");
        Assert.That(encoded.Ids[1], Is.EqualTo(first));
        Assert.That(encoded.Offsets, Is.EqualTo(new[] { (0, 0), (0, 1), (1, 4), (4, 5), (6, 7), (0, 0) }));
    }

    private static TemporaryFolder Folder(string name, params (string Name, string Content)[] files)
    {
        var folder = new TemporaryFolder();
        File.Copy(SharedFolder.Path($"golden/tokenizers/trained/{name}/tokenizer.json"), Path.Combine(folder.Path, "tokenizer.json"));
        foreach (var (file, content) in files) File.WriteAllText(Path.Combine(folder.Path, file), content);
        return folder;
    }
}
