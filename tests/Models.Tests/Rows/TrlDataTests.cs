// Text to tokens against what TRL made of the same rows: boundaries, end tokens, truncation, masks, refused rows.

using PeftAlign.Abstractions;
using PeftAlign.Models.Rows;

namespace PeftAlign.Models.Tests.Rows;

public sealed class TrlDataTests
{
    private static IEnumerable<TestCaseData> Dpo => TrlCase.Of("dpo");

    private static IEnumerable<TestCaseData> Sft => TrlCase.Of("sft");

    private static IEnumerable<TestCaseData> Kto => TrlCase.Of("kto");

    private static IEnumerable<TestCaseData> Joined => TrlCase.Of("orpo", "cpo");

    [TestCaseSource(nameof(Dpo))]
    public void Pairs_become_TRLs_tokens(TrlCase c)
    {
        var context = c.Context;
        var pairs = c.Records.Select(r => PreferenceRows.Read(r, context)).Where(p => context.KeepEnd || p.Chosen.Prompt.Length < context.MaxLength).ToList();
        Assert.That(pairs.Select(p => (p.Chosen.Prompt, p.Chosen.Completion, p.Rejected.Completion)),
            Is.EqualTo(c.Prepared.Select(r => (TrlCase.Ints(r["prompt_ids"]), TrlCase.Ints(r["chosen_ids"]), TrlCase.Ints(r["rejected_ids"])))).Using<(int[], int[], int[])>(Same));
        Assert.That(pairs.All(p => p.Rejected.Prompt.SequenceEqual(p.Chosen.Prompt)));
    }

    [TestCaseSource(nameof(Dpo))]
    public void Pairs_are_cut_and_masked_as_TRLs_collator_does(TrlCase c)
    {
        var context = c.Context;
        var rows = c.Records.Select(r => PreferenceRows.Groups(r, context)).ToList();
        var kept = rows.Where(r => r.Count > 0).ToList();
        Assert.That(kept, Has.Count.EqualTo((int)c.Json["records_left"]!));
        var (answers, ledger) = (kept.Select(Sequences).ToList(), context.Ledger);
        if (c.Batch is not null)
            for (var k = 0; k < kept.Count; k++)
                for (var side = 0; side < 2; side++)
                {
                    var (ids, mask) = c.Row(k + side * kept.Count);
                    Assert.That(answers[k][side].Ids, Is.EqualTo(ids), $"row {k}, side {side}");
                    Assert.That(answers[k][side].Length, Is.EqualTo(mask.Sum()), $"|y| of row {k}, side {side}");
                    // What is asked for is the mask, but for a first token that nothing stands before.
                    Assert.That(answers[k][side].Weights, Is.EqualTo(mask.Select((m, t) => t == 0 ? 0 : m)), $"mask of row {k}, side {side}");
                }
        Assert.That(ledger.TokensKept, Is.EqualTo(answers.Sum(a => a.Sum(s => s.Ids.Length))));
        Assert.That(ledger.TokensTrained, Is.EqualTo(answers.Sum(a => a.Sum(s => s.Weights.Sum()))));
        Assert.That((ledger.Rows, ledger.RowsWithoutTrainedToken), Is.EqualTo((c.Records.Count, c.Records.Count - kept.Count)));
        var whole = c.Records.Select(r => PreferenceRows.Read(r, c.Context)).Sum(p => 2 * p.Chosen.Prompt.Length + p.Chosen.Completion.Length + p.Rejected.Completion.Length);
        Assert.That(ledger.TokensKept + ledger.TokensCut + ledger.TokensRefused, Is.EqualTo(whole), "every token is kept, cut or refused");
    }

    [TestCaseSource(nameof(Sft))]
    public void Sequences_become_TRLs_tokens_and_labels(TrlCase c)
    {
        var (context, part) = (c.Context, Part(c));
        // TRL packs rows too in which nothing is trained; here they are refused, so the packing itself is compared.
        var rows = context.Packing is { } strategy
            ? Packing.Pack([.. c.Records.SelectMany(r => SequenceRows.Read(r, part, context))], strategy, context.MaxLength).Select(Packed).ToList()
            : SequenceRows.Arrange(c.Records, part, context).Select(r => Packed((IReadOnlyList<SequenceTokens>)r.Prepared!)).ToList();
        Assert.That(rows.Select(r => r.Ids), Is.EqualTo(c.Prepared.Select(r => TrlCase.Ints(r["input_ids"]))));
        Assert.That(rows.Select(r => r.Labels), Is.EqualTo(c.Prepared.Select(r => TrlCase.Ints(r["labels"]))));
        if (c.Prepared[0]["seq_lengths"] is not null) Assert.That(rows.Select(r => r.Lengths), Is.EqualTo(c.Prepared.Select(r => TrlCase.Ints(r["seq_lengths"]))));
    }

    [TestCaseSource(nameof(Sft))]
    public void What_is_trained_of_sequences_is_TRLs_shifted_labels_and_every_token_is_counted(TrlCase c)
    {
        var (context, part) = (c.Context, Part(c));
        var arranged = SequenceRows.Arrange(c.Records, part, context);
        var groups = arranged.SelectMany(r => SequenceRows.Groups(r, part, context)).ToList();
        var ledger = context.Ledger;
        var trained = groups.Sum(g => g.Completions[0].Weights.Count(w => w > 0));
        var starts = c.Prepared.Sum(r => (r["seq_lengths"] is { } lengths ? TrlCase.Ints(lengths) : [TrlCase.Ints(r["input_ids"]).Length])
            .Aggregate((At: 0, Count: 0), (sum, length) => (sum.At + length, sum.Count + (TrlCase.Ints(r["labels"])[sum.At] == -100 ? 0 : 1))).Count);
        Assert.That(trained, Is.EqualTo(c.Prepared.Sum(r => TrlCase.Ints(r["labels"]).Count(l => l != -100)) - starts));
        Assert.That(ledger.TokensTrained, Is.EqualTo(trained));
        var whole = c.Records.SelectMany(r => SequenceRows.Read(r, part, c.Context)).Sum(s => s.Ids.Length);
        Assert.That(ledger.TokensKept + ledger.TokensCut + ledger.TokensRefused, Is.EqualTo(whole));
    }

    [TestCaseSource(nameof(Kto))]
    public void Single_answers_become_TRLs_tokens(TrlCase c)
    {
        var context = c.Context;
        var rows = AnswerRows.Unpaired(c.Records).Select(r => AnswerRows.Read(r, context)).Where(r => r.Answer.Prompt.Length < context.MaxLength).ToList();
        var rotated = AnswerRows.Rotated([.. rows.Select(r => r.Answer.Completion)], context.BatchSize);
        Assert.That(rows.Select(r => r.Answer.Prompt), Is.EqualTo(c.Prepared.Select(r => TrlCase.Ints(r["prompt_ids"]))));
        Assert.That(rows.Select(r => r.Answer.Completion), Is.EqualTo(c.Prepared.Select(r => TrlCase.Ints(r["completion_ids"]))));
        Assert.That(rotated, Is.EqualTo(c.Prepared.Select(r => TrlCase.Ints(r["KL_completion_ids"]))));
        Assert.That(rows.Select(r => r.Label), Is.EqualTo(c.Prepared.Select(r => (bool)r["label"]!)));
        if (c.Batch is null) return;
        for (var k = 0; k < rows.Count; k++)
            foreach (var (prefix, completion) in (ReadOnlySpan<(string, int[])>)[("", rows[k].Answer.Completion), ("KL_", rotated[k])])
            {
                var cut = AnswerRows.Cut(rows[k].Answer with { Completion = completion }, context);
                Assert.That((int[])[.. cut.Prompt, .. cut.Completion], Is.EqualTo(c.Row(k, prefix).Ids));
                Assert.That(cut.Completion, Has.Length.EqualTo(c.Row(k, prefix).Mask.Sum()));
            }
    }

    [TestCaseSource(nameof(Joined))]
    public void Pairs_without_a_reference_become_TRLs_tokens(TrlCase c)
    {
        var context = c.Context;
        if (c.HasError)
        {
            Assert.That(() => JoinedPreferenceRows.Read(c.Records[0], context), Throws.InstanceOf<UserErrorException>().With.Message.Contains("cases.jsonl, row 1").And.Message.Contains("boundary"));
            return;
        }
        var pairs = c.Records.Select(r => JoinedPreferenceRows.Read(r, context)).ToList();
        foreach (var (side, of) in (ReadOnlySpan<(string, Func<PairTokens, AnswerTokens>)>)[("chosen", p => p.Chosen), ("rejected", p => p.Rejected)])
        {
            Assert.That(pairs.Select(p => (int[])[.. of(p).Prompt, .. of(p).Completion]), Is.EqualTo(c.Prepared.Select(r => TrlCase.Ints(r[side + "_input_ids"]))));
            Assert.That(pairs.Select(p => (int[])[.. of(p).Prompt.Select(_ => -100), .. of(p).Completion]), Is.EqualTo(c.Prepared.Select(r => TrlCase.Ints(r[side + "_labels"]))));
        }
    }

    private static TrainedPart Part(TrlCase c) => new((bool?)c.Options["completion_only_loss"], (bool?)c.Options["assistant_only_loss"] ?? false);

    private static (int[] Ids, int[] Labels, int[] Lengths) Packed(IReadOnlyList<SequenceTokens> row) =>
        ([.. row.SelectMany(s => s.Ids)], [.. row.SelectMany(s => s.Ids.Zip(s.Trained, (id, trained) => trained ? id : -100))], [.. row.Select(s => s.Ids.Length)]);

    // Every answer of a row's groups as a whole sequence, with the weight of each of its tokens and |y|.
    private static List<(int[] Ids, int[] Weights, int Length)> Sequences(IReadOnlyList<CompletionGroup> groups) =>
        [.. groups.SelectMany(g => g.Completions.Select(a => ((int[])[.. g.Prompt, .. a.Tokens], (int[])[.. g.Prompt.Select(_ => 0), .. a.Weights.Select(w => (int)w)], a.RecordedLength)))];

    private static bool Same((int[] A, int[] B, int[] C) x, (int[] A, int[] B, int[] C) y) => x.A.SequenceEqual(y.A) && x.B.SequenceEqual(y.B) && x.C.SequenceEqual(y.C);
}
