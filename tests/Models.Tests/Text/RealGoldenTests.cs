// golden/tokenizers/real: the tokenizers of data/tokenizers against sentencepiece, tokenizers, transformers and tiktoken.
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using PeftAlign.Abstractions;
using PeftAlign.Models.Text;
using PeftAlign.Models.Text.SentencePiece;

namespace PeftAlign.Models.Tests.Text;

public class RealGoldenTests
{
    private const string Data = "data/tokenizers/";

    private static readonly Dictionary<string, string> Models = new()
    {
        ["llama"] = "llama/tokenizer.model",
        ["mistral_v1"] = "mistral/tokenizer.model.v1",
        ["mistral_v3"] = "mistral/mistral_instruct_tokenizer_240323.model.v3",
        ["tiny_bpe"] = "hf-tiny/test_sentencepiece_bpe.model",
        ["tiny_unigram"] = "hf-tiny/test_sentencepiece.model",
        ["tiny_unigram_nfkc"] = "hf-tiny/sentencepiece_test_model.model",
        ["tiny_unigram_2000"] = "hf-tiny/torchtune_m.model",
        ["tiny_unigram_bytefallback"] = "hf-tiny/test_sentencepiece_with_bytefallback.model",
    };

    private static IEnumerable<string> ModelNames => Models.Keys;

    [TestCaseSource(nameof(ModelNames))]
    public void Sentencepiece_models_give_the_same_ids_and_texts(string name)
    {
        var tokenizer = TokenizerLoader.Load(SharedFolder.Path(Data + Models[name]));
        var (golden, rows) = (SharedFolder.Golden($"real/{name}.spm.json"), new GoldenRows());
        var file = SentencePieceFile.Read(SharedFolder.Path(Data + Models[name]));
        CompareAll(golden, tokenizer, rows);
        foreach (var role in (string[])["bos", "eos", "unk"])
        {
            var expected = golden.GetProperty(role).GetInt32();
            var ids = tokenizer.SpecialTokens;
            rows.Equal(role, expected < 0 ? null : expected, role == "bos" ? ids.Bos : role == "eos" ? ids.Eos : ids.Unk);
        }
        if (golden.TryGetProperty("normalized", out var normalized))
            foreach (var (text, output) in SharedFolder.Texts.Zip(normalized.EnumerateArray()))
                rows.Equal($"normalised '{text}'", GoldenRows.TextOr(output, text),
                    new SentencePieceNormalizer(file).Apply(text));
        rows.Check();
    }

    [TestCase("llama", "hub_legacy")]
    [TestCase("llama", "hub_nonlegacy")]
    [TestCase("llama", "hub_no_prefix")]
    [TestCase("llama", "slow_legacy_true")]
    [TestCase("llama", "slow_legacy_false")]
    [TestCase("mistral_v1", "hub_legacy")]
    [TestCase("mistral_v1", "hub_nonlegacy")]
    [TestCase("mistral_v3", "hub_legacy")]
    [TestCase("mistral_v3", "hub_nonlegacy")]
    [TestCase("mistral_v3", "hub_no_prefix")]
    [TestCase("tiny_bpe", "fast_generic")]
    [TestCase("tiny_unigram", "fast_generic")]
    [TestCase("tiny_unigram", "fast_deberta_v3")]
    [TestCase("tiny_unigram_nfkc", "fast_generic")]
    [TestCase("tiny_unigram_2000", "fast_generic")]
    [TestCase("tiny_unigram_bytefallback", "fast_generic")]
    public void Conversions_give_the_same_ids_and_texts(string name, string layout)
    {
        var rows = new GoldenRows();
        CompareAll(SharedFolder.Golden($"real/{name}.{layout}.json"), Converted(name, layout), rows);
        rows.Check();
    }

    [TestCase("llama", "hub_legacy")]
    [TestCase("mistral_v1", "hub_legacy")]
    [TestCase("mistral_v3", "hub_legacy")]
    public void Merges_of_a_conversion_are_the_same(string name, string layout)
    {
        var merges = SentencePieceTokenizer.Merges(SentencePieceFile.Read(SharedFolder.Path(Data + Models[name])));
        var facts = SharedFolder.Golden($"real/{name}.{layout}.json").GetProperty("parts").GetProperty("model");
        var lines = string.Join('\n', merges.Select(merge => $"{merge.Left} {merge.Right}"));
        Assert.That(merges, Has.Count.EqualTo(facts.GetProperty("merges_count").GetInt32()));
        Assert.That(
            Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(lines))),
            Is.EqualTo(facts.GetProperty("merges_sha256_of_lines").GetString()));
    }

    [TestCase("llama", "hub_legacy", "hub_legacy", true)]
    [TestCase("llama", "hub_legacy", "hub_legacy_keep_special", false)]
    [TestCase("mistral_v1", "hub_legacy", "hub_legacy", true)]
    [TestCase("mistral_v3", "hub_legacy", "hub_legacy", true)]
    public void Streams_of_conversions_give_the_same_chunks(string name, string layout, string golden, bool skip)
    {
        CheckStream(Converted(name, layout), $"{name}.{golden}.stream", withBos:
            golden.EndsWith("keep_special", StringComparison.Ordinal), skip);
    }

    [Test]
    public void Gpt2_is_the_same()
    {
        var (tokenizer, rows) = (Gpt2(), new GoldenRows());
        CompareAll(SharedFolder.Golden("real/gpt2.json"), tokenizer, rows);
        var others = SharedFolder.Golden("real/gpt2.tiktoken_ordinary.json").GetProperty("ids_where_not_base");
        foreach (var (text, index) in SharedFolder.Texts.Select((text, index) => (text, index)))
        {
            if (!others.TryGetProperty($"{index}", out var ids)) continue;
            var encoded = GoldenRows.Details(tokenizer).Encode(text, options: new EncodeOptions { SpecialTokensAsText = true });
            rows.Same($"ordinary ids of '{text}'", GoldenRows.Ints(ids), encoded.Ids);
        }
        rows.Check();
    }

    [Test]
    public void Gpt2_with_a_space_before_the_text_is_the_same() =>
        WithFolder(["gpt2/encoder.json", "gpt2/vocab.bpe"], "{\"add_prefix_space\": true}", tokenizer =>
            CompareAll(SharedFolder.Golden("real/gpt2.prefix_space.json"), tokenizer, new GoldenRows()).Check());

    [Test]
    public void Gpt2_streams_the_same_chunks() => CheckStream(Gpt2(), "gpt2.stream", withBos: false, skip: true);

    [Test]
    public void Roberta_is_the_same() => WithFolder(["gpt2/encoder.json", "gpt2/vocab.bpe", "roberta/dict.txt"], null,
        tokenizer =>
    {
        var (golden, rows) = (SharedFolder.Golden("real/roberta.json"), new GoldenRows());
        CompareAll(golden, tokenizer, rows);
        rows.Equal("size", golden.GetProperty("size").GetInt32(), tokenizer.VocabularySize);
        rows.Equal("mask", golden.GetProperty("mask").GetInt32(), GoldenRows.Details(tokenizer).TokenToId("<mask>"));
        foreach (var row in SharedFolder.Golden("real/roberta.pairs.json").GetProperty("rows").EnumerateArray())
        {
            var pair = GoldenRows.Ints(row.GetProperty("pair"));
            var encoded = GoldenRows.Details(tokenizer).Encode(SharedFolder.Texts[pair[0]], SharedFolder.Texts[pair[1]]);
            rows.Same($"ids of pair {pair[0]}", GoldenRows.Ints(row.GetProperty("ids")), encoded.Ids);
            rows.Same($"types of pair {pair[0]}", GoldenRows.Ints(row.GetProperty("type_ids")), encoded.TypeIds);
        }
        rows.Check();
    });

    [TestCase("torchtune_tokenizer")]
    [TestCase("torchtune_tiny_bpe_tokenizer")]
    public void Files_as_they_are_give_the_same(string name)
    {
        var tokenizer = TokenizerLoader.Load(SharedFolder.Path($"{Data}hf-tiny/{name}.json"));
        CompareAll(SharedFolder.Golden($"real/{name}.json"), tokenizer, new GoldenRows()).Check();
    }

    [TestCase(true)]
    [TestCase(false)]
    public void A_llama_folder_finds_special_tokens_in_the_text(bool legacy) =>
        WithFolder(["llama/tokenizer.model"], $$"""{"tokenizer_class": "LlamaTokenizer", "legacy": {{(legacy ? "true" : "false")}}}""", tokenizer =>
        {
            Assert.That(tokenizer.EncodeToIds("<s>a", false), Is.EqualTo(legacy ? new[] { 1, 263 } : [1, 29874]));
            Assert.That(tokenizer.EncodeToIds("a"), Is.EqualTo(new[] { 1, 263 }));
        });

    private static ITokenizer Converted(string name, string layout)
    {
        var file = SentencePieceFile.Read(SharedFolder.Path(Data + Models[name]));
        var kind = layout switch
        {
            "hub_legacy" or "slow_legacy_true" => SentencePieceLayout.Legacy,
            "hub_nonlegacy" => SentencePieceLayout.NonLegacy,
            "hub_no_prefix" or "slow_legacy_false" => SentencePieceLayout.NoPrefix,
            "fast_deberta_v3" => SentencePieceLayout.Deberta,
            _ => SentencePieceLayout.Generic,
        };
        var plain = !layout.StartsWith("fast", StringComparison.Ordinal);
        return new PipelineTokenizer(
            SentencePieceTokenizer.Convert(file, kind, addBos: plain, addEos: false, name.Contains("bytefallback")));
    }

    private static ITokenizer Gpt2() => TokenizerLoader.Load(SharedFolder.Path(Data + "gpt2/encoder.json"));

    private static void WithFolder(string[] files, string? config, Action<ITokenizer> check)
    {
        var paths = files.Select(file => SharedFolder.Path(Data + file)).ToList();
        var folder = Directory.CreateTempSubdirectory().FullName;
        try
        {
            foreach (var path in paths) File.Copy(path, Path.Combine(folder, Path.GetFileName(path)));
            if (config is not null) File.WriteAllText(Path.Combine(folder, "tokenizer_config.json"), config);
            check(TokenizerLoader.Load(folder));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static GoldenRows CompareAll(JsonElement golden, ITokenizer tokenizer, GoldenRows rows)
    {
        var texts = SharedFolder.Texts;
        var all = Ids(golden);
        for (var i = 0; i < texts.Length; i++)
        {
            rows.Same($"ids of {i} '{texts[i]}'", all[i], tokenizer.EncodeToIds(texts[i], false));
            var details = GoldenRows.Details(tokenizer).Encode(texts[i], options: new EncodeOptions { AddSpecialTokens = false });
            rows.Same($"detailed ids of {i} '{texts[i]}'", all[i], details.Ids);
            if (golden.TryGetProperty("offsets", out var offsets))
                rows.Same($"offsets of {i}", GoldenRows.Offsets(offsets[i]), details.Offsets);
            if (golden.TryGetProperty("decoded", out var decoded))
                rows.Equal($"decoded {i}", GoldenRows.TextOr(decoded[i], texts[i]), tokenizer.Decode(all[i]));
        }
        CompareSpecial(golden, tokenizer, rows, all);
        return rows;
    }

    private static void CompareSpecial(JsonElement golden, ITokenizer tokenizer, GoldenRows rows, int[][] all)
    {
        if (!golden.TryGetProperty("special_prefix", out var prefix)) return;
        var texts = SharedFolder.Texts;
        var exceptions = golden.GetProperty("ids_special_where_not_prefix_ids_suffix");
        var skips = golden.TryGetProperty("decoded_skip_special_where_not_decoded", out var value) ? value : default;
        for (var i = 0; i < texts.Length; i++)
        {
            int[] special = [.. GoldenRows.Ints(prefix), .. all[i], .. GoldenRows.Ints(golden.GetProperty("special_suffix"))];
            if (exceptions.TryGetProperty($"{i}", out var other)) special = GoldenRows.Ints(other);
            rows.Same($"ids with special tokens of {i}", special, tokenizer.EncodeToIds(texts[i]));
            if (skips.ValueKind == JsonValueKind.Object && skips.TryGetProperty($"{i}", out var text))
                rows.Equal($"decoded without special tokens {i}", text.GetString()!,
                    tokenizer.Decode(all[i], skipSpecialTokens: true));
        }
    }

    // ids, or the ids of another file with exceptions.
    private static int[][] Ids(JsonElement golden)
    {
        if (golden.TryGetProperty("ids", out var ids)) return [.. ids.EnumerateArray().Select(GoldenRows.Ints)];
        var all = Ids(SharedFolder.Golden($"real/{golden.GetProperty("base").GetString()}.json"));
        foreach (var row in golden.GetProperty("ids_where_not_base").EnumerateObject())
            all[int.Parse(row.Name)] = GoldenRows.Ints(row.Value);
        return all;
    }

    private static void CheckStream(ITokenizer tokenizer, string golden, bool withBos, bool skip)
    {
        var rows = new GoldenRows();
        foreach (var row in SharedFolder.Golden($"real/{golden}.json").GetProperty("rows").EnumerateArray())
        {
            var text = SharedFolder.Texts[row.GetProperty("text").GetInt32()];
            var ids = tokenizer.EncodeToIds(text, withBos);
            var stream = GoldenRows.Details(tokenizer).CreateStream(skip);
            var chunks = ids.Select(stream.Step).ToList();
            rows.Same($"chunks of '{text}'", row.GetProperty("chunks").EnumerateArray().Select(chunk => chunk.GetString()),
                chunks);
            rows.Equal($"all of '{text}'", tokenizer.Decode(ids, skip), string.Concat(chunks) + stream.Flush());
        }
        rows.Check();
    }
}
