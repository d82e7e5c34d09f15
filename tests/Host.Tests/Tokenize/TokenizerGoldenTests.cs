// Every golden tokenizer through the command: ids, tokens, ids with special tokens, and the text of ids, from files of rows.

using System.Text.Json;

namespace PeftAlign.Host.Tests.Tokenize;

public class TokenizerGoldenTests
{
    private const string Trained = "golden/tokenizers/trained/";

    private static readonly string[] Names =
    [
        "bytelevel_gpt2", "bytelevel_roberta", "llama3_split", "qwen2_split", "llama2_legacy", "llama_nonlegacy", "gemma",
        "metaspace_bpe_unk", "bpe_word_suffix", "unigram_precompiled", "deberta_v3", "unigram_nmt_nfkc_bytefallback", "unigram_trained",
        "bert_uncased", "bert_cased_strip", "wordlevel", "added_tokens", "added_tokens_lower", "spm_small",
    ];

    private static readonly (string File, string Name)[] Models =
    [
        ("llama/tokenizer.model", "llama"), ("mistral/tokenizer.model.v1", "mistral_v1"),
        ("mistral/mistral_instruct_tokenizer_240323.model.v3", "mistral_v3"), ("hf-tiny/test_sentencepiece_bpe.model", "tiny_bpe"),
        ("hf-tiny/test_sentencepiece.model", "tiny_unigram"), ("hf-tiny/sentencepiece_test_model.model", "tiny_unigram_nfkc"),
        ("hf-tiny/torchtune_m.model", "tiny_unigram_2000"), ("hf-tiny/test_sentencepiece_with_bytefallback.model", "tiny_unigram_bytefallback"),
    ];

    private Cli cli = null!;

    [SetUp]
    public void MakeFolder() => cli = new Cli();

    [TearDown]
    public void RemoveFolder() => cli.Dispose();

    [Test]
    public void EveryTrainedTokenizerIsListed()
    {
        var folders = Directory.GetDirectories(Golden.Path(Trained)).Select(folder => System.IO.Path.GetFileName(folder)).Where(name => name != "bert_uncased_truncpad");
        Assert.That(folders, Is.SubsetOf(Names));
    }

    [TestCaseSource(nameof(Names))]
    public void TrainedTokenizersAreReproduced(string name)
    {
        var folder = Golden.Path(Trained + name);
        JsonElement[] rows = [.. Golden.Json($"{Trained}{name}/golden.json").GetProperty("rows").EnumerateArray()];
        string[] texts = [.. rows.Select(row => Golden.Texts[row.GetProperty("text").GetInt32()])];
        int[][] ids = [.. rows.Select(row => Golden.Ints(row.GetProperty("ids")))];
        CheckIds(folder, texts, ids, rows, "--no-special");
        int[][] special = [.. rows.Select((row, i) => row.TryGetProperty("ids_special", out var value) ? Golden.Ints(value) : ids[i])];
        CheckIds(folder, texts, special, []);
        string[] decoded = [.. rows.Select((row, i) => Golden.TextOr(row.GetProperty("decoded"), texts[i]))];
        CheckTexts(folder, ids, decoded);
        // What sentencepiece itself made knows no leaving out of special tokens.
        if (name == "spm_small") return;
        CheckTexts(folder, ids, [.. rows.Select((row, i) => row.TryGetProperty("decoded_skip_special", out var value) ? value.GetString()! : decoded[i])], "--no-special");
    }

    [Test]
    public void TruncationAndPaddingOfTheFileHold()
    {
        var golden = Golden.Json(Trained + "truncation_padding.json");
        string[] texts = [.. golden.GetProperty("rows")[0].GetProperty("single_inputs").EnumerateArray().Select(text => text.GetString()!)];
        int[][] ids = [.. golden.GetProperty("from_file").EnumerateArray().Select(row => Golden.Ints(row.GetProperty("ids")))];
        CheckIds(Golden.Path(Trained + "bert_uncased_truncpad/tokenizer.json"), texts, ids, []);
    }

    [Test]
    public void SentencepieceFilesAreReproduced([ValueSource(nameof(ModelNames))] string name) =>
        CheckReal(Golden.Path("data/tokenizers/" + FileOf(name)), $"{name}.spm");

    // What the folder's tokenizer_config.json says decides how a sentencepiece model is read.
    [TestCase("llama", "hub_legacy", "{\"tokenizer_class\": \"LlamaTokenizer\"}")]
    [TestCase("llama", "slow_legacy_true", "{\"tokenizer_class\": \"LlamaTokenizer\", \"legacy\": true}")]
    [TestCase("llama", "hub_nonlegacy", "{\"tokenizer_class\": \"LlamaTokenizer\", \"legacy\": false}")]
    [TestCase("llama", "hub_no_prefix", "{\"tokenizer_class\": \"LlamaTokenizer\", \"add_prefix_space\": false}")]
    [TestCase("mistral_v1", "hub_legacy", "{\"tokenizer_class\": \"LlamaTokenizer\"}")]
    [TestCase("mistral_v1", "hub_nonlegacy", "{\"tokenizer_class\": \"LlamaTokenizer\", \"legacy\": false}")]
    [TestCase("mistral_v3", "hub_legacy", "{\"tokenizer_class\": \"LlamaTokenizer\"}")]
    [TestCase("mistral_v3", "hub_nonlegacy", "{\"tokenizer_class\": \"LlamaTokenizer\", \"legacy\": false}")]
    [TestCase("mistral_v3", "hub_no_prefix", "{\"tokenizer_class\": \"LlamaTokenizer\", \"add_prefix_space\": false}")]
    public void FoldersWithASentencepieceModelAreReproduced(string name, string layout, string config) =>
        CheckReal(cli.Model([(Golden.Path("data/tokenizers/" + FileOf(name)), "tokenizer.model")], ("tokenizer_config.json", config)), $"{name}.{layout}");

    [Test]
    public void Gpt2IsReproduced()
    {
        CheckReal(Golden.Path("data/tokenizers/gpt2/encoder.json"), "gpt2");
        CheckReal(cli.Model(Gpt2("vocab.json", "merges.txt")), "gpt2");
        CheckReal(cli.Model(Gpt2("encoder.json", "vocab.bpe"), ("tokenizer_config.json", "{\"add_prefix_space\": true}")), "gpt2.prefix_space");
    }

    [Test]
    public void RobertaIsReproduced() =>
        CheckReal(cli.Model([.. Gpt2("encoder.json", "vocab.bpe"), (Golden.Path("data/tokenizers/roberta/dict.txt"), "dict.txt")]), "roberta");

    [TestCase("torchtune_tokenizer")]
    [TestCase("torchtune_tiny_bpe_tokenizer")]
    public void TokenizerFilesOfOtherNamesAreReproduced(string name) => CheckReal(Golden.Path($"data/tokenizers/hf-tiny/{name}.json"), name);

    private static IEnumerable<string> ModelNames() => Models.Select(model => model.Name);

    private static string FileOf(string name) => Models.Single(model => model.Name == name).File;

    private static (string, string)[] Gpt2(string vocabulary, string merges) =>
        [(Golden.Path("data/tokenizers/gpt2/encoder.json"), vocabulary), (Golden.Path("data/tokenizers/gpt2/vocab.bpe"), merges)];

    private void CheckReal(string model, string name)
    {
        var golden = Golden.Json($"golden/tokenizers/real/{name}.json");
        var (texts, ids) = (Golden.Texts, Ids(golden));
        CheckIds(model, texts, ids, [], "--no-special");
        if (golden.TryGetProperty("decoded", out var decoded))
            CheckTexts(model, ids, [.. texts.Select((text, i) => Golden.TextOr(decoded[i], text))]);
        if (!golden.TryGetProperty("special_prefix", out var prefix)) return;
        var (before, after) = (Golden.Ints(prefix), Golden.Ints(golden.GetProperty("special_suffix")));
        var others = golden.GetProperty("ids_special_where_not_prefix_ids_suffix");
        CheckIds(model, texts, [.. ids.Select((row, i) => others.TryGetProperty($"{i}", out var other) ? Golden.Ints(other) : [.. before, .. row, .. after])], []);
    }

    // ids, or the ids of another file with exceptions.
    private static int[][] Ids(JsonElement golden)
    {
        if (golden.TryGetProperty("ids", out var ids)) return [.. ids.EnumerateArray().Select(Golden.Ints)];
        var all = Ids(Golden.Json($"golden/tokenizers/real/{golden.GetProperty("base").GetString()}.json"));
        foreach (var row in golden.GetProperty("ids_where_not_base").EnumerateObject()) all[int.Parse(row.Name)] = Golden.Ints(row.Value);
        return all;
    }

    private void CheckIds(string model, string[] texts, int[][] expected, JsonElement[] rows, params string[] args)
    {
        Assert.That(expected, Has.Length.EqualTo(texts.Length).And.Not.Empty);
        var answers = cli.Answers(model, [.. texts.Select(text => Golden.Row("text", text))], args);
        Assert.Multiple(() =>
        {
            for (var i = 0; i < texts.Length; i++)
            {
                Assert.That(Golden.Ints(answers[i].GetProperty("ids")), Is.EqualTo(expected[i]), $"ids of '{texts[i]}'");
                var tokens = answers[i].GetProperty("tokens");
                Assert.That(tokens.GetArrayLength(), Is.EqualTo(expected[i].Length), $"tokens of '{texts[i]}'");
                if (rows.Length > 0 && rows[i].TryGetProperty("tokens", out var wanted) && wanted.ValueKind == JsonValueKind.Array)
                    Assert.That(Strings(tokens), Is.EqualTo(Strings(wanted)), $"tokens of '{texts[i]}'");
            }
        });
    }

    private void CheckTexts(string model, int[][] ids, string[] expected, params string[] args)
    {
        var answers = cli.Answers(model, [.. ids.Select(row => Golden.IdsRow(row))], ["--decode", .. args]);
        Assert.That(answers.Select(row => row.GetProperty("text").GetString()), Is.EqualTo(expected));
    }

    private static string[] Strings(JsonElement array) => [.. array.EnumerateArray().Select(item => item.GetString()!)];
}
