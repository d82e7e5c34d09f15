// What the loader makes of folders: roles and added tokens of the configuration files, errors that say what is missing; and
// that a tokenizer is safe for several threads and linear in its text.
using PeftAlign.Abstractions;
using PeftAlign.Models.Text;

namespace PeftAlign.Models.Tests.Text;

public class LoaderTests
{
    private const string Vocabulary = """{"<unk>": 0, "a": 1, "b": 2, "ab": 3, "\u0120": 4}""";

    private static string Json(string tokens = "") =>
        $$$"""{"added_tokens": [{{{tokens}}}], "model": {"type": "BPE", "unk_token": "<unk>", "vocab": {{{Vocabulary}}}, "merges": ["a b"]}}""";

    [Test]
    public void Roles_come_from_the_configuration()
    {
        using var folder = Folder(("tokenizer.json", Json("""{"id": 7, "content": "<end>", "special": true}""")),
            ("tokenizer_config.json", """{"eos_token": {"content": "<end>"}, "bos_token": null}"""),
            ("special_tokens_map.json", """{"pad_token": "<unk>", "eos_token": "a"}"""));
        var tokenizer = TokenizerLoader.Load(folder.Path);
        Assert.That(tokenizer.SpecialTokens.Eos, Is.EqualTo(1), "special_tokens_map.json goes first, as in transformers");
        Assert.That(tokenizer.SpecialTokens.Pad, Is.EqualTo(0));
        Assert.That(tokenizer.SpecialTokens.Unk, Is.EqualTo(0));
        Assert.That(tokenizer.SpecialTokens.Bos, Is.Null);
        Assert.That(tokenizer.VocabularySize, Is.EqualTo(8));
        Assert.That(tokenizer.Decode([3, 7], skipSpecialTokens: true), Is.EqualTo("ab"));
    }

    [Test]
    public void Added_tokens_of_the_configuration_are_found_in_the_text()
    {
        using var folder = Folder(("tokenizer.json", Json()),
            ("tokenizer_config.json", """{"added_tokens_decoder": {"5": {"content": "<x>", "special": true}}}"""),
            ("added_tokens.json", """{"<y>": 6}"""));
        var tokenizer = TokenizerLoader.Load(folder.Path);
        Assert.That(tokenizer.EncodeToIds("ab<x>a"), Is.EqualTo(new[] { 3, 5, 1 }));
        Assert.That(tokenizer.SpecialTokens.All, Is.EquivalentTo(new[] { 5 }));
        Assert.That(tokenizer.VocabularySize, Is.EqualTo(6), "beside the decoder added_tokens.json adds nothing, as in transformers");
    }

    [Test]
    public void Gpt2_files_are_found_by_their_names()
    {
        using var folder = Folder(("vocab.json", Vocabulary), ("merges.txt", "#version: 0.2\na b\n"));
        Assert.That(TokenizerLoader.Load(folder.Path).EncodeToIds("ab a"), Is.EqualTo(new[] { 3, 4, 1 }));
        Assert.That(TokenizerLoader.Load(Path.Combine(folder.Path, "vocab.json")).EncodeToIds("ab"), Is.EqualTo(new[] { 3 }));
    }

    [TestCase("vocab.json", """{"a": 0}""", "merges.txt")]
    [TestCase("tokenizer.json", "{}", "model")]
    [TestCase("tokenizer.json", "[1]", "object")]
    [TestCase("tokenizer.json", "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 99999999999}, \"merges\": []}}", "'a'")]
    [TestCase("tokenizer.json", "{\"model\": {\"type\": \"BPE\", \"dropout\": 0.1, \"vocab\": {}, \"merges\": []}}", "dropout")]
    [TestCase("tokenizer.json", "{\"normalizer\": {\"type\": \"Shout\"}, \"model\": {\"type\": \"WordLevel\", \"vocab\": {}}}", "Shout")]
    [TestCase("tokenizer.json", "{\"normalizer\": {\"type\": \"Precompiled\", \"precompiled_charsmap\": \"AAAA\"}, \"model\": {\"type\": \"WordLevel\", \"vocab\": {}}}", "precompiled_charsmap")]
    [TestCase("tokenizer.json", "{\"model\": {\"type\": \"Unigram\", \"unk_id\": 3, \"vocab\": [[\"a\", 0.5]]}}", "unk_id")]
    [TestCase("tokenizer.json", "{\"model\": {\"type\": \"WordLevel\", \"vocab\": {\"\\ud800\": 0}}}", "Unicode")]
    public void What_is_wrong_is_said(string name, string content, string names)
    {
        using var folder = Folder((name, content));
        var error = Assert.Throws<TokenizerException>(() => TokenizerLoader.Load(Path.Combine(folder.Path, name)));
        Assert.That(error!.Message, Does.Contain(names).And.Contain(folder.Path));
    }

    [TestCase("LlamaTokenizer", new[] { 1, 263 })]
    [TestCase("GemmaTokenizer", new[] { 1, 29874 })]
    [TestCase("XLMRobertaTokenizer", null)]
    public void The_class_of_a_sentencepiece_model_counts(string name, int[]? ids)
    {
        var model = SharedFolder.Path("data/tokenizers/llama/tokenizer.model");
        using var folder = Folder(("tokenizer_config.json", $$"""{"tokenizer_class": "{{name}}"}"""));
        File.Copy(model, Path.Combine(folder.Path, "tokenizer.model"));
        if (ids is null) Assert.That(() => TokenizerLoader.Load(folder.Path), Throws.TypeOf<TokenizerException>().With.Message.Contains(name));
        else Assert.That(TokenizerLoader.Load(folder.Path).EncodeToIds("a"), Is.EqualTo(ids));
    }

    [Test]
    public void A_folder_without_a_tokenizer_says_what_was_looked_for()
    {
        using var folder = Folder();
        Assert.That(() => TokenizerLoader.Load(folder.Path),
            Throws.TypeOf<TokenizerException>().With.Message.Contains("tokenizer.json"));
        Assert.That(() => TokenizerLoader.Load("/no/such/path"),
            Throws.TypeOf<TokenizerException>().With.Message.Contains("no such"));
    }

    [Test]
    public void Several_threads_get_what_one_gets()
    {
        var tokenizer = TokenizerLoader.Load(SharedFolder.Path("golden/tokenizers/trained/llama3_split/tokenizer.json"));
        var texts = SharedFolder.Texts;
        var alone = texts.Select(text => tokenizer.EncodeToIds(text)).ToList();
        Parallel.For(0, texts.Length * 8, i =>
        {
            if (!tokenizer.EncodeToIds(texts[i % texts.Length]).SequenceEqual(alone[i % texts.Length]))
                throw new InvalidOperationException($"text {i % texts.Length} differs");
        });
    }

    [TestCase("llama2_legacy")]
    [TestCase("bytelevel_gpt2")]
    [TestCase("unigram_trained")]
    [TestCase("bert_uncased")]
    public void One_long_line_takes_time_in_proportion(string name)
    {
        var tokenizer = TokenizerLoader.Load(SharedFolder.Path($"golden/tokenizers/trained/{name}/tokenizer.json"));
        foreach (var unit in (string[])["a", "thequickbrown", "the cat "])
        {
            var text = string.Concat(Enumerable.Repeat(unit, 400_000 / unit.Length));
            var clock = ThreadTime.Start();
            var ids = tokenizer.EncodeToIds(text, false);
            Assert.That(clock.Elapsed, Is.LessThan(TimeSpan.FromSeconds(10)), $"'{unit}' repeated");
            Assert.That(ids, Is.Not.Empty);
        }
    }

    [Test]
    public void Long_and_short_words_merge_alike()
    {
        // The same word below and above the length where merging changes from search to heap.
        var tokenizer = (ITokenizerDetails)TokenizerLoader.Load(SharedFolder.Path("golden/tokenizers/trained/bytelevel_gpt2/tokenizer.json"));
        foreach (var count in (int[])[1, 2, 3, 5, 8, 30])
        {
            var text = string.Concat(Enumerable.Repeat("therethen", count));
            var encoded = tokenizer.Encode(text);
            Assert.That(string.Concat(encoded.Tokens), Is.EqualTo(text));
            Assert.That(encoded.Offsets[^1].End, Is.EqualTo(text.Length));
            Assert.That(((ITokenizer)tokenizer).EncodeToIds(text), Is.EqualTo(encoded.Ids));
        }
    }

    // OPT's files: RoBERTa's vocabulary under GPT-2's class. Ids by transformers 5.23; without a configuration no token is put before a text.
    [TestCase("\"tokenizer_class\": \"GPT2Tokenizer\", \"add_bos_token\": true", new[] { 2, 7, 6, 2, 8, 9, 10 }, new[] { 2, 4, 2, 5 })]
    [TestCase("\"tokenizer_class\": \"GPT2Tokenizer\", \"add_bos_token\": false", new[] { 7, 6, 2, 8, 9, 10 }, new[] { 4, 5 })]
    [TestCase("\"tokenizer_class\": \"GPT2Tokenizer\", \"add_bos_token\": true, \"add_eos_token\": true", new[] { 2, 7, 6, 2, 8, 9, 10, 2 }, new[] { 2, 4, 2, 2, 5, 2 })]
    [TestCase("\"add_bos_token\": true", new[] { 2, 7, 6, 2, 8, 9, 10 }, new[] { 2, 4, 2, 5 })]
    [TestCase(null, new[] { 7, 6, 2, 8, 9, 10 }, new[] { 4, 5 })]
    public void Opts_begin_token_stands_before_a_text(string? config, int[] ids, int[] pair)
    {
        using var folder = Folder(
            ("vocab.json", """{"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "a": 4, "b": 5, "\u0120": 6, "ab": 7, "<": 8, "m": 9, ">": 10, "<mask>": 11}"""), ("merges.txt", "#version: 0.2\na b\n"),
            ("special_tokens_map.json", """{"bos_token": "</s>", "eos_token": "</s>", "unk_token": "</s>", "pad_token": "<pad>"}"""), ("config.json", """{"model_type": "opt"}"""));
        if (config is not null) File.WriteAllText(Path.Combine(folder.Path, "tokenizer_config.json"), $"{{{config}}}");
        var tokenizer = TokenizerLoader.Load(folder.Path);
        Assert.That(tokenizer.EncodeToIds("ab </s><m>"), Is.EqualTo(ids));
        Assert.That(((ITokenizerDetails)tokenizer).Encode("a", "b").Ids, Is.EqualTo(pair));
        Assert.That((tokenizer.SpecialTokens.Bos, tokenizer.SpecialTokens.Eos, tokenizer.SpecialTokens.Pad), Is.EqualTo((2, 2, 1)));
    }

    private static TemporaryFolder Folder(params (string Name, string Content)[] files)
    {
        var folder = new TemporaryFolder();
        foreach (var (name, content) in files) File.WriteAllText(Path.Combine(folder.Path, name), content);
        return folder;
    }
}
