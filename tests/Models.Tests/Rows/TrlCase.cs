// One case of golden/trl-data, and the rows that it holds; a copy of the whole folder lies in tests/fixtures.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models.Templates;
using PeftAlign.Models.Text;

namespace PeftAlign.Models.Tests.Rows;

/// <summary>A case.</summary>
public sealed record TrlCase(JsonObject Json)
{
    private static readonly Dictionary<string, (ITokenizer, IChatTemplate)> Loaded = [];

    internal string Trainer => (string)Json["trainer"]!;

    internal JsonNode Options => Json["options"]!;

    internal bool HasError => Json.ContainsKey("error");

    internal IReadOnlyList<JsonNode> Prepared => [.. Json["prepared"]!.AsArray().Select(row => row!)];

    /// <summary>What the collator made of all prepared rows; null where the case has none.</summary>
    internal JsonNode? Batch => Json["batch"];

    internal IReadOnlyList<DataRecord> Records => [.. Json["records"]!.AsArray().Select((r, k) => new DataRecord(r!.DeepClone().AsObject(), "cases.jsonl", k + 1))];

    internal PrepareContext Context
    {
        get
        {
            var (tokenizer, template) = Load((string)Json["tokenizer"]!);
            var length = Options.AsObject().TryGetPropertyValue("max_length", out var given) ? (int?)given ?? int.MaxValue : 1024;
            return new PrepareContext(tokenizer, length, new MaskLedger())
            {
                ChatTemplate = template,
                KeepEnd = (string?)Options["truncation_mode"] == "keep_end",
                Packing = (bool?)Options["packing"] == true ? (string)Options["packing_strategy"]! : null,
                BatchSize = 4,
            };
        }
    }

    internal static IEnumerable<TestCaseData> Of(params string[] trainers) =>
        from line in Packed.Lines(Checkout.Fixture("trl-data", "cases.jsonl"))
        let row = new TrlCase(JsonNode.Parse(line)!.AsObject())
        where trainers.Contains(row.Trainer)
        select new TestCaseData(row).SetArgDisplayNames($"{row.Json["case"]} {row.Trainer} {row.Options.ToJsonString()}");

    internal static int[] Ints(JsonNode? array) => [.. array!.AsArray().Select(n => (int)n!)];

    /// <summary>Row <paramref name="k"/> of the batch: ids without padding, and which belong to the answer.</summary>
    internal (int[] Ids, int[] Mask) Row(int k, string prefix = "")
    {
        var (ids, attention, mask) = (Ints(Batch![prefix + "input_ids"]![k]), Ints(Batch[prefix + "attention_mask"]![k]), Ints(Batch[prefix + "completion_mask"]![k]));
        var length = attention.Sum();
        return (ids[..length], mask[..length]);
    }

    private static (ITokenizer, IChatTemplate) Load(string name)
    {
        if (Loaded.TryGetValue(name, out var known)) return known;
        var folder = Checkout.Fixture("trl-data", name);
        return Loaded[name] = (TokenizerLoader.Load(folder), ChatTemplateLoader.Load(folder)!);
    }
}
