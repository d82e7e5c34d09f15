// golden/tokenizers/trained: one tokenizer.json of every pipeline kind, against the `tokenizers` library.
using System.Text.Json;
using PeftAlign.Abstractions;
using PeftAlign.Models.Text;

namespace PeftAlign.Models.Tests.Text;

public class TrainedGoldenTests
{
    private static readonly string[] Names =
    [
        "bytelevel_gpt2", "bytelevel_roberta", "llama3_split", "qwen2_split", "llama2_legacy", "llama_nonlegacy", "gemma",
        "metaspace_bpe_unk", "bpe_word_suffix", "unigram_precompiled", "deberta_v3", "unigram_nmt_nfkc_bytefallback",
        "unigram_trained",
        "bert_uncased", "bert_cased_strip", "wordlevel", "added_tokens", "added_tokens_lower",
    ];

    // Added tokens have golden rows of their own instead.
    private static IEnumerable<string> WithPairs => Names.Where(name => !name.StartsWith("added_tokens", StringComparison.Ordinal));

    private static ITokenizer Load(string name) =>
        TokenizerLoader.Load(SharedFolder.Path($"golden/tokenizers/trained/{name}/tokenizer.json"));

    [TestCaseSource(nameof(Names))]
    public void Ids_and_texts_are_the_same(string name)
    {
        var (tokenizer, golden, rows) = (Load(name), SharedFolder.Golden($"trained/{name}/golden.json"), new GoldenRows());
        foreach (var row in golden.GetProperty("rows").EnumerateArray())
        {
            var index = row.GetProperty("text").GetInt32();
            var text = SharedFolder.Texts[index];
            var ids = GoldenRows.Ints(row.GetProperty("ids"));
            rows.Same($"ids of {index} '{text}'", ids, tokenizer.EncodeToIds(text, false));
            var special = row.TryGetProperty("ids_special", out var value) ? GoldenRows.Ints(value) : ids;
            rows.Same($"ids with special tokens of {index}", special, tokenizer.EncodeToIds(text));
            rows.Equal($"count of {index}", special.Length, tokenizer.CountTokens(text));
            var decoded = GoldenRows.TextOr(row.GetProperty("decoded"), text);
            rows.Equal($"decoded {index}", decoded, tokenizer.Decode(ids));
            var skipped = row.TryGetProperty("decoded_skip_special", out value) ? value.GetString()! : decoded;
            rows.Equal($"decoded without special tokens {index}", skipped, tokenizer.Decode(ids, skipSpecialTokens: true));
        }
        rows.Check();
    }

    // Ids go a shorter way where nobody asks for tokens and offsets: across the borders of two texts, too.
    [TestCaseSource(nameof(Names))]
    public void Ids_alone_are_those_beside_tokens_and_offsets(string name)
    {
        var (tokenizer, rows, texts) = (Load(name), new GoldenRows(), SharedFolder.Texts);
        for (var k = 0; k < texts.Length; k++)
            foreach (var special in (bool[])[false, true])
            {
                var text = texts[k] + texts[(7 * k + 3) % texts.Length];
                var beside = GoldenRows.Details(tokenizer).Encode(text, options: new EncodeOptions { AddSpecialTokens = special });
                rows.Same($"ids of {k}, special tokens {special}: '{text}'", beside.Ids, tokenizer.EncodeToIds(text, special));
            }
        rows.Check();
    }

    [TestCaseSource(nameof(Names))]
    public void Tokens_offsets_and_masks_are_the_same(string name)
    {
        var (tokenizer, golden, rows) = (GoldenRows.Details(Load(name)), SharedFolder.Golden($"trained/{name}/golden.json"),
            new GoldenRows());
        foreach (var row in golden.GetProperty("rows").EnumerateArray())
        {
            var index = row.GetProperty("text").GetInt32();
            var text = SharedFolder.Texts[index];
            var plain = tokenizer.Encode(text, options: new EncodeOptions { AddSpecialTokens = false });
            rows.Same($"ids of {index} '{text}'", GoldenRows.Ints(row.GetProperty("ids")), plain.Ids);
            if (row.TryGetProperty("tokens", out var value))
            {
                rows.Same($"tokens of {index}", value.EnumerateArray().Select(token => token.GetString()!), plain.Tokens);
                rows.Same($"offsets of {index} '{text}'", GoldenRows.Offsets(row.GetProperty("offsets")), plain.Offsets);
                rows.Same($"words of {index}", Words(row.GetProperty("word_ids")), plain.WordIds);
            }
            var special = tokenizer.Encode(text);
            if (row.TryGetProperty("special_type_ids", out value))
                rows.Same($"types of {index}", GoldenRows.Ints(value), special.TypeIds);
            if (row.TryGetProperty("special_tokens_mask", out value))
                rows.Same($"mask of {index}", GoldenRows.Ints(value), special.SpecialTokensMask);
        }
        rows.Check();
    }

    [TestCaseSource(nameof(WithPairs))]
    public void Pairs_are_the_same(string name)
    {
        var golden = SharedFolder.Golden($"trained/{name}/golden.json");
        var (tokenizer, rows) = (GoldenRows.Details(Load(name)), new GoldenRows());
        foreach (var row in golden.GetProperty("pairs").EnumerateArray())
        {
            var pair = GoldenRows.Ints(row.GetProperty("pair"));
            var encoded = tokenizer.Encode(SharedFolder.Texts[pair[0]], SharedFolder.Texts[pair[1]]);
            rows.Same($"ids of {pair[0]}, {pair[1]}", GoldenRows.Ints(row.GetProperty("ids")), encoded.Ids);
            rows.Same($"types of {pair[0]}, {pair[1]}", GoldenRows.Ints(row.GetProperty("type_ids")), encoded.TypeIds);
            rows.Same($"mask of {pair[0]}, {pair[1]}", GoldenRows.Ints(row.GetProperty("special_tokens_mask")),
                encoded.SpecialTokensMask);
        }
        rows.Check();
    }

    [TestCase("added_tokens")]
    [TestCase("added_tokens_lower")]
    public void Flags_of_added_tokens_do_the_same(string name)
    {
        var (tokenizer, golden, rows) = (Load(name), SharedFolder.Golden($"trained/{name}/golden.json"), new GoldenRows());
        foreach (var asText in (bool[])[false, true])
        {
            foreach (var row in golden.GetProperty(asText ? "flag_rows_special_as_text" : "flag_rows").EnumerateArray())
            {
                var input = row.GetProperty("input").GetString()!;
                var encoded = GoldenRows.Details(tokenizer).Encode(
                    input, options: new EncodeOptions { AddSpecialTokens = false, SpecialTokensAsText = asText });
                var ids = GoldenRows.Ints(row.GetProperty("ids"));
                rows.Same($"ids of '{input}' {asText}", ids, encoded.Ids);
                if (!asText) rows.Same($"ids of '{input}'", ids, tokenizer.EncodeToIds(input, false));
                rows.Same($"tokens of '{input}' {asText}", row.GetProperty("tokens").EnumerateArray().Select(token =>
                    token.GetString()!), encoded.Tokens);
                rows.Same($"offsets of '{input}' {asText}", GoldenRows.Offsets(row.GetProperty("offsets")), encoded.Offsets);
                rows.Equal($"decoded '{input}'", row.GetProperty("decoded").GetString()!, tokenizer.Decode(ids));
                rows.Equal($"decoded '{input}'", row.GetProperty("decoded_skip_special").GetString()!,
                    tokenizer.Decode(ids, true));
            }
        }
        rows.Check();
    }

    [Test]
    public void Ignore_merges_changes_the_ids_that_it_changes_there()
    {
        var path = SharedFolder.Path("golden/tokenizers/trained/llama3_split/tokenizer.json");
        var folder = Directory.CreateTempSubdirectory().FullName;
        var copy = Path.Combine(folder, "tokenizer.json");
        File.WriteAllText(copy, File.ReadAllText(path).Replace("\"ignore_merges\":true", "\"ignore_merges\":false"));
        var (tokenizer, rows) = (TokenizerLoader.Load(copy), new GoldenRows());
        foreach (var row in SharedFolder.Golden("trained/llama3_split/golden.json").GetProperty("ids_where_ignore_merges_false_differs").EnumerateArray())
            rows.Same($"ids of {row[0]}", GoldenRows.Ints(row[1]),
                tokenizer.EncodeToIds(SharedFolder.Texts[row[0].GetInt32()], false));
        Directory.Delete(folder, recursive: true);
        rows.Check();
    }

    [Test]
    public void A_sentencepiece_model_with_its_own_rules_is_the_same()
    {
        var tokenizer = TokenizerLoader.Load(SharedFolder.Path("golden/tokenizers/trained/spm_small/tokenizer.model"));
        var rows = new GoldenRows();
        foreach (var row in SharedFolder.Golden("trained/spm_small/golden.json").GetProperty("rows").EnumerateArray())
        {
            var text = SharedFolder.Texts[row.GetProperty("text").GetInt32()];
            var ids = GoldenRows.Ints(row.GetProperty("ids"));
            rows.Same($"ids of '{text}'", ids, tokenizer.EncodeToIds(text));
            rows.Equal($"decoded '{text}'", GoldenRows.TextOr(row.GetProperty("decoded"), text), tokenizer.Decode(ids));
            if (row.GetProperty("pieces") is { ValueKind: JsonValueKind.Array } pieces)
                rows.Same($"pieces of '{text}'", pieces.EnumerateArray().Select(piece => piece.GetString()!),
                    GoldenRows.Details(tokenizer).Encode(text).Tokens);
        }
        rows.Check();
    }

    private static IEnumerable<int?> Words(JsonElement array) =>
        array.EnumerateArray().Select(item => item.ValueKind == JsonValueKind.Null ? (int?)null : item.GetInt32());
}
