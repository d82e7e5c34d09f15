// Rows of KTO: each answer with its prompt, and with the same prompt the answer of the previous row of the batch (the first row gets the
// last row's), as TRL rotates them. TRL does so once, in file order; here it is done for the batch that is trained, so rows may be
// shuffled. Without shuffling the answers are the same. Rows of eval_data get theirs once, in blocks of a training batch, as TRL's do:
// how many are measured at a time does not change whose answer a row gets.

using PeftAlign.Abstractions;
using PeftAlign.Models.Rows;

namespace PeftAlign.Methods.Kto;

internal static class KtoRows
{
    /// <summary>An answer and its verdict, uncut.</summary>
    private sealed record Labelled(AnswerTokens Answer, bool Label)
    {
        /// <summary>The other row's answer; null where that is the batch's to say.</summary>
        internal int[]? Other { get; init; }
    }

    /// <summary>Pairs become single answers; rows become tokens, those with nothing to train are left out. Counts in the ledger.</summary>
    internal static IReadOnlyList<DataRecord> Arrange(IReadOnlyList<DataRecord> records, bool rotated, PrepareContext context)
    {
        var read = new List<(DataRecord Record, Labelled Row)>();
        foreach (var (rows, ledger) in OrderedWork.Map(OrderedWork.Batches(AnswerRows.Unpaired(records), _ => 1), context.Threads, batch => Read(batch, context with { Ledger = new MaskLedger() })))
        {
            read.AddRange(rows);
            context.Ledger.Add(ledger);
        }
        var others = rotated && context.TrainingBatchSize is { } batch ? AnswerRows.Rotated([.. read.Select(r => r.Row.Answer.Completion)], batch) : null;
        return [.. read.Select((r, k) => new DataRecord([], r.Record.Source, r.Record.Row) { Prepared = r.Row with { Other = others?[k] } })];
    }

    /// <summary>The groups of a batch: one for each row, or two where there is no prompt that both answers could share.</summary>
    internal static IReadOnlyList<CompletionGroup> Groups(IReadOnlyList<DataRecord> records, bool rotated, PrepareContext context)
    {
        var rows = records.Select(r => r.Prepared as Labelled ?? Read(r, context)).OfType<Labelled>().ToList();
        var others = rotated ? AnswerRows.Rotated([.. rows.Select(r => r.Answer.Completion)], Math.Max(1, rows.Count)) : [];
        return [.. rows.SelectMany((row, k) => Row(row, rotated ? row.Other ?? others[k] : null, context))];
    }

    private static IEnumerable<CompletionGroup> Row(Labelled row, int[]? other, PrepareContext context)
    {
        var own = AnswerRows.Cut(row.Answer, context);
        var measured = other is null ? null : AnswerRows.Cut(row.Answer with { Completion = other }, context);
        var group = Group(own, c => c with { Label = row.Label });
        // keep_end may leave the two different ends of one prompt.
        if (measured is null) return [group];
        if (own.Prompt.Length > 0 && own.Prompt.AsSpan().SequenceEqual(measured.Prompt))
            return measured.Completion.Length == 0 ? [group] : [group with { Completions = [.. group.Completions, Completion.Of(measured.Completion) with { Gradient = false }] }];
        return measured.Completion.Length < (measured.Prompt.Length > 0 ? 1 : 2) ? [group] : [group, Group(measured, c => c with { Gradient = false })];
    }

    // Without a prompt the first token has nothing before it: it is what the rest is predicted from.
    private static CompletionGroup Group(AnswerTokens answer, Func<Completion, Completion> marked) => answer.Prompt.Length > 0
        ? new CompletionGroup(answer.Prompt, [marked(Completion.Of(answer.Completion))])
        : new CompletionGroup(answer.Completion[..1], [marked(Completion.Of(answer.Completion[1..]))]);

    private static (List<(DataRecord Record, Labelled Row)> Rows, MaskLedger Ledger) Read(IReadOnlyList<DataRecord> batch, PrepareContext context) =>
        ([.. batch.Select(record => (Record: record, Row: Read(record, context)!)).Where(r => r.Row is not null)], context.Ledger);

    private static Labelled? Read(DataRecord record, PrepareContext context)
    {
        var (answer, label) = AnswerRows.Read(record, context);
        var cut = AnswerRows.Cut(answer, context);
        var ledger = context.Ledger;
        ledger.Rows++;
        var (before, after) = (answer.Prompt.Length + answer.Completion.Length, cut.Prompt.Length + cut.Completion.Length);
        ledger.TokensCut += before - after;
        if (after < before) ledger.RowsTruncated++;
        var trained = cut.Completion.Length - (cut.Prompt.Length == 0 ? 1 : 0);
        if (trained < 1)
        {
            ledger.RowsWithoutTrainedToken++;
            ledger.TokensRefused += after;
            return null;
        }
        ledger.TokensKept += after;
        ledger.TokensTrained += trained;
        if (cut.Completion[^1] == context.Tokenizer?.SpecialTokens.Eos) ledger.AnswersWithTrainedEnd++;
        return new Labelled(answer, label);
    }
}
