// The three strategies on TRL's own results, and what must hold for any lengths.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models.Rows;

namespace PeftAlign.Models.Tests.Rows;

public sealed class PackingTests
{
    private static IEnumerable<TestCaseData> Golden =>
        File.ReadLines(Checkout.Fixture("trl-data", "packing.jsonl")).Select((line, k) => new TestCaseData(JsonNode.Parse(line)).SetArgDisplayNames($"{k}"));

    [TestCaseSource(nameof(Golden))]
    public void Rows_are_packed_as_TRL_packs_them(JsonNode c)
    {
        var rows = Packing.Pack(Rows(TrlCase.Ints(c["lengths"])), (string)c["strategy"]!, (int)c["max_length"]!);
        var expected = c["packed"]!.AsArray();
        Assert.That(rows.Select(r => r.SelectMany(s => s.Ids)), Is.EqualTo(expected.Select(r => TrlCase.Ints(r!["input_ids"]))));
        Assert.That(rows.Select(r => r.SelectMany(s => s.Ids.Zip(s.Trained, (id, trained) => trained ? id : -100))), Is.EqualTo(expected.Select(r => TrlCase.Ints(r!["labels"]))));
        if (expected[0]!["seq_lengths"] is not null) Assert.That(rows.Select(r => r.Select(s => s.Ids.Length)), Is.EqualTo(expected.Select(r => TrlCase.Ints(r!["seq_lengths"]))));
    }

    [Test]
    public void No_token_is_lost_but_by_bfds_cut_and_no_row_is_too_long([Values("bfd", "bfd_split", "wrapped")] string strategy, [Values(1, 7, 16, 64)] int maxLength)
    {
        var random = new Random(5);
        for (var trial = 0; trial < 20; trial++)
        {
            int[] lengths = [.. Enumerable.Range(0, 50).Select(_ => random.Next(0, 40))];
            var packed = Packing.Pack(Rows(lengths), strategy, maxLength);
            Assert.That(packed.Max(r => r.Sum(s => s.Ids.Length)), Is.LessThanOrEqualTo(maxLength));
            var kept = strategy == "bfd" ? lengths.Sum(l => Math.Min(l, maxLength)) : lengths.Sum();
            Assert.That(packed.SelectMany(r => r.SelectMany(s => s.Ids)).Distinct().Count(), Is.EqualTo(kept));
            Assert.That(packed.Sum(r => r.Sum(s => s.Ids.Length)), Is.EqualTo(kept));
        }
    }

    // pack_dataset of 2,001 rows of one token: each 1,000 leave one over, which the next block does not get.
    [Test]
    public void A_thousand_rows_are_packed_by_themselves([Values("bfd", "bfd_split", "wrapped")] string strategy)
    {
        var packed = Packing.Pack(Rows([.. Enumerable.Repeat(1, 2001)]), strategy, 3);
        Assert.That(packed, Has.Count.EqualTo(669));
        Assert.That(packed.Select((row, k) => (Ids: row.Sum(s => s.Ids.Length), k)).Where(row => row.Ids < 3), Is.EqualTo(((int, int)[])[(1, 333), (1, 667), (1, 668)]));
    }

    [Test]
    public void A_pack_of_a_row_that_loses_all_its_trained_tokens_is_refused()
    {
        var record = new DataRecord(JsonNode.Parse("""{"prompt_ids": [5, 6, 7, 8, 9], "completion_ids": [10, 11]}""")!.AsObject(), "t.jsonl", 1);
        var small = new DataRecord(JsonNode.Parse("""{"prompt_ids": [5], "completion_ids": [10]}""")!.AsObject(), "t.jsonl", 2);
        var context = new PrepareContext(null, 4, new MaskLedger()) { Packing = "bfd" };
        var arranged = SequenceRows.Arrange([record, small], new TrainedPart(), context);
        Assert.That(arranged, Has.Count.EqualTo(1));
        var ledger = context.Ledger;
        Assert.That((ledger.Rows, ledger.RowsWithoutTrainedToken, ledger.TokensKept, ledger.TokensCut, ledger.TokensRefused, ledger.TokensTrained), Is.EqualTo((2, 1, 2, 3, 4, 1)));
    }

    // TRL drops rows without a trained token only where it does not pack (SFTTrainer._prepare_dataset), and pack_dataset takes what it is given: the
    // untrained rows take room in the packs, the second block begins with row 1,001, and a document in which nothing is trained goes into no group.
    [TestCase("bfd")]
    [TestCase("bfd_split")]
    [TestCase("wrapped")]
    public void Rows_without_a_trained_token_take_their_room(string strategy)
    {
        DataRecord Row(int number) => new(JsonNode.Parse(number % 2 == 1 ? $$"""{"prompt_ids": [{{number}}, 5000], "completion_ids": []}""" : $$"""{"prompt_ids": [{{number}}], "completion_ids": [6000]}""")!.AsObject(), "t.jsonl", number);
        var context = new PrepareContext(null, 8, new MaskLedger()) { Packing = strategy };
        DataRecord[] records = [.. Enumerable.Range(1, 1006).Select(Row)];
        var packs = SequenceRows.Arrange(records, new TrainedPart(), context);
        Assert.That(packs, Has.Count.EqualTo(252), "250 packs of four rows, and two of the second block");
        Assert.That(packs.Select(pack => ((IReadOnlyList<SequenceTokens>)pack.Prepared!).SelectMany(s => s.Ids).Where(id => id <= 1006).Order()), Is.EqualTo(Enumerable.Range(1, 1006).Chunk(4)));
        var groups = packs.SelectMany(pack => SequenceRows.Groups(pack, new TrainedPart(), context)).ToList();
        Assert.That(groups, Has.Count.EqualTo(strategy == "wrapped" ? 252 : 503));
        var ledger = context.Ledger;
        Assert.That((ledger.Rows, ledger.RowsWithoutTrainedToken, ledger.TokensCut, ledger.TokensTrained, ledger.TokensKept + ledger.TokensRefused), Is.EqualTo((1006, 503, 0, 503, 2012)));
        Assert.That(ledger.TokensRefused, Is.EqualTo(strategy == "wrapped" ? 0 : 1006));
    }

    // Row i holds consecutive ids from 100 on; the first third of its labels is -100.
    private static List<SequenceTokens> Rows(int[] lengths)
    {
        var (rows, next) = (new List<SequenceTokens>(), 100);
        foreach (var length in lengths)
        {
            rows.Add(new SequenceTokens([.. Enumerable.Range(next, length)], [.. Enumerable.Range(0, length).Select(k => k >= length / 3)]));
            next += length;
        }
        return rows;
    }
}
