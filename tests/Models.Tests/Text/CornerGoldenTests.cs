// Fixtures/tokenizer-corners.json, by tokenizers 0.23.3 (Fixtures/make/tokenizer-corners.py): small tokenizers whose settings are seldom.
using System.Text.Json;
using PeftAlign.Models.Text;
using PeftAlign.Models.Text.Files;

namespace PeftAlign.Models.Tests.Text;

public sealed class CornerGoldenTests
{
    private static IEnumerable<TestCaseData> Cases() =>
        JsonDocument.Parse(File.ReadAllBytes(SharedFolder.Path("tokenizer-corners.json"))).RootElement.EnumerateArray().Select(row => new TestCaseData(row).SetArgDisplayNames(row.GetProperty("name").GetString()!));

    [TestCaseSource(nameof(Cases))]
    public void A_corner_is_as_in_tokenizers(JsonElement golden)
    {
        var tokenizer = new PipelineTokenizer(TokenizerJson.Read(new JsonField("tokenizer-corners.json", "", golden.GetProperty("tokenizer"))));
        var rows = new GoldenRows();
        foreach (var row in golden.GetProperty("rows").EnumerateArray())
        {
            var text = row.GetProperty("text").GetString()!;
            var ids = GoldenRows.Ints(row.GetProperty("ids"));
            var encoded = tokenizer.Encode(text);
            rows.Same($"ids of '{text}'", ids, encoded.Ids);
            rows.Same($"ids alone of '{text}'", ids, tokenizer.EncodeToIds(text));
            rows.Same($"offsets of '{text}'", GoldenRows.Offsets(row.GetProperty("offsets")), encoded.Offsets);
            rows.Equal($"'{text}' decoded", row.GetProperty("decoded").GetString(), tokenizer.Decode(ids, skipSpecialTokens: true));
        }
        foreach (var row in golden.GetProperty("decoded").EnumerateArray())
            rows.Equal($"{row.GetProperty("ids")} decoded", row.GetProperty("text").GetString(), tokenizer.Decode(GoldenRows.Ints(row.GetProperty("ids")), skipSpecialTokens: true));
        rows.Check();
    }
}
