// golden/tokenizers/trained/truncation_padding.json: every truncation with every padding, single texts and pairs.
using System.Text.Json;
using PeftAlign.Abstractions;
using PeftAlign.Models.Text;

namespace PeftAlign.Models.Tests.Text;

public class TruncationPaddingTests
{
    [Test]
    public void Every_setting_gives_the_same_rows()
    {
        var golden = SharedFolder.Golden("trained/truncation_padding.json");
        var tokenizer = GoldenRows.Details(TokenizerLoader.Load(SharedFolder.Path("golden/tokenizers/" + golden.GetProperty("tokenizer").GetString())));
        var rows = new GoldenRows();
        foreach (var row in golden.GetProperty("rows").EnumerateArray())
        {
            var options = new EncodeOptions
            {
                Truncation = Truncation(row.GetProperty("truncation")),
                Padding = Padding(row.GetProperty("padding")),
            };
            var name = $"{row.GetProperty("truncation")} {row.GetProperty("padding")}";
            var singles = row.GetProperty("single_inputs").EnumerateArray().Select(text =>
                (text.GetString()!, (string?)null)).ToList();
            var pairs = row.GetProperty("pair_inputs").EnumerateArray().Select(pair =>
                (pair[0].GetString()!, pair[1].GetString())).ToList();
            Compare(rows, $"single {name}", tokenizer, singles, options, row.GetProperty("single"));
            Compare(rows, $"pairs {name}", tokenizer, pairs, options, row.GetProperty("pairs"));
        }
        rows.Check();
    }

    [Test]
    public void Settings_in_the_file_are_kept()
    {
        var golden = SharedFolder.Golden("trained/truncation_padding.json");
        var tokenizer = TokenizerLoader.Load(SharedFolder.Path("golden/tokenizers/trained/bert_uncased_truncpad/tokenizer.json"));
        var inputs = golden.GetProperty("rows")[0].GetProperty("single_inputs").EnumerateArray().Select(text =>
            text.GetString()!).ToList();
        var rows = new GoldenRows();
        Compare(rows, "from file", GoldenRows.Details(tokenizer), [.. inputs.Select(text => (text, (string?)null))], null,
            golden.GetProperty("from_file"));
        var whole = new EncodeOptions { Truncation = TruncationOptions.Off, Padding = PaddingOptions.Off };
        var off = GoldenRows.Details(tokenizer).Encode(inputs[0], options: whole);
        rows.Equal("attention without padding", off.Ids.Count, off.AttentionMask.Sum());
        rows.Equal("longer without truncation", true, off.Ids.Count > 12);
        rows.Same("ids alone, which rows to train are made of", off.Ids, tokenizer.EncodeToIds(inputs[0]));
        rows.Same("ids alone, without special tokens", GoldenRows.Details(tokenizer).Encode(inputs[0], options: whole with { AddSpecialTokens = false }).Ids, tokenizer.EncodeToIds(inputs[0], false));
        rows.Check();
    }

    // As transformers, which switches both off unless a call asks for them; score, generate and benchmarks go this way.
    [Test]
    public void Ids_alone_are_those_of_the_whole_text_whatever_the_file_cuts_and_pads()
    {
        var golden = SharedFolder.Golden("trained/truncation_padding.json");
        var (cut, plain) = (Trained("bert_uncased_truncpad"), Trained("bert_uncased"));
        var longer = 0;
        foreach (var text in golden.GetProperty("rows")[0].GetProperty("single_inputs").EnumerateArray().Select(t => t.GetString()!))
            foreach (var special in (bool[])[true, false])
            {
                var ids = plain.EncodeToIds(text, special);
                Assert.That(cut.EncodeToIds(text, special), Is.EqualTo(ids), text);
                Assert.That(cut.CountTokens(text, special), Is.EqualTo(ids.Count), text);
                if (ids.Count > 12) longer++;
            }
        Assert.That(longer, Is.Positive, "no text is longer than the file's limit");
    }

    private static ITokenizer Trained(string name) => TokenizerLoader.Load(SharedFolder.Path($"golden/tokenizers/trained/{name}/tokenizer.json"));

    private static void Compare(
        GoldenRows rows, string name, ITokenizerDetails tokenizer, List<(string, string?)> inputs, EncodeOptions? options,
        JsonElement expected)
    {
        if (expected.ValueKind == JsonValueKind.Object)
        {
            Assert.That(expected.TryGetProperty("error", out _));
            Assert.Throws<TokenizerException>(() => tokenizer.EncodeBatch(inputs, options), name);
            return;
        }
        var results = tokenizer.EncodeBatch(inputs, options);
        foreach (var (row, result) in expected.EnumerateArray().Zip(results))
        {
            rows.Same($"ids of {name}", GoldenRows.Ints(row.GetProperty("ids")), result.Ids);
            rows.Same($"types of {name}", GoldenRows.Ints(row.GetProperty("type_ids")), result.TypeIds);
            rows.Same($"attention of {name}", GoldenRows.Ints(row.GetProperty("attention_mask")), result.AttentionMask);
            rows.Same($"mask of {name}", GoldenRows.Ints(row.GetProperty("special_tokens_mask")), result.SpecialTokensMask);
            var overflowing = row.GetProperty("overflowing").EnumerateArray().Select(GoldenRows.Ints).ToList();
            rows.Equal($"overflowing of {name}", overflowing.Count, result.Overflowing.Count);
            foreach (var (part, index) in overflowing.Zip(result.Overflowing).Select((part, index) => (part, index)))
                rows.Same($"overflowing {index} of {name}", part.First, part.Second.Ids);
        }
    }

    private static TruncationOptions? Truncation(JsonElement value) => value.ValueKind == JsonValueKind.Null ? null
        : new TruncationOptions(
        value.GetProperty("max_length").GetInt32(),
        Int(value, "stride") ?? 0,
        value.TryGetProperty("strategy", out var strategy) ? strategy.GetString()! : "longest_first",
        IsLeft(value));

    private static PaddingOptions? Padding(JsonElement value) => value.ValueKind == JsonValueKind.Null ? null
        : new PaddingOptions(
        Int(value, "pad_id") ?? 0, "[PAD]", Int(value, "pad_type_id") ?? 0, Int(value, "length"),
            Int(value, "pad_to_multiple_of"), IsLeft(value));

    private static int? Int(JsonElement value, string name) => value.TryGetProperty(name, out var number) ? number.GetInt32()
        : null;

    private static bool IsLeft(JsonElement value) => value.TryGetProperty("direction", out var direction)
        && direction.GetString() == "left";
}
