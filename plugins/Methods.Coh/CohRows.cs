// Pairs as chains of answers: prompt, a line's end, then what each template says: text, an answer with its end token, text, the other
// answer; the prompt is not repeated. A ranking question's answers are read only, its verdict is trained. An answer is trained from the first token in which the text before it, alone and with it,
// differ, as in the other methods' rows.

using PeftAlign.Abstractions;
using PeftAlign.Models.Rows;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Methods.Coh;

/// <param name="options">Kinds, markers, templates.</param>
internal sealed class CohRows(CohOptions options)
{
    private readonly IReadOnlyList<CohTemplate> templates = CohTemplate.All(options);

    /// <summary>The groups of a pair, one for each template that has a token to train within the limits. Counts in the ledger.</summary>
    internal IReadOnlyList<CompletionGroup> Groups(DataRecord record, PrepareContext context)
    {
        var whole = Chosen(record).Select(template => record.Has("prompt_ids") ? OfTokens(record, template) : OfTexts(record, template, context)).ToList();
        var cut = whole.Select(s => s.Cut(context)).ToList();
        var (ledger, before, after) = (context.Ledger, whole.Sum(s => (long)s.Ids.Length), cut.Sum(s => (long)s.Ids.Length));
        ledger.Rows++;
        ledger.TokensCut += before - after;
        if (after < before) ledger.RowsTruncated++;
        var kept = cut.Where(s => s.TrainedCount > 0).ToList();
        ledger.TokensRefused += after - kept.Sum(s => (long)s.Ids.Length);
        if (kept.Count == 0) ledger.RowsWithoutTrainedToken++;
        ledger.TokensKept += kept.Sum(s => (long)s.Ids.Length);
        ledger.TokensTrained += kept.Sum(s => (long)s.TrainedCount);
        ledger.AnswersWithTrainedEnd += kept.Count(s => s.Trained[^1] && s.Ids[^1] == context.Tokenizer?.SpecialTokens.Eos);
        return [.. kept.Select(s => s.Group()!)];
    }

    // The row's number decides, so that a row gets the same template in every epoch and order.
    private IEnumerable<CohTemplate> Chosen(DataRecord record) =>
        options.TemplateChoice == "all" ? templates : [templates[(int)new CounterStream(0, "template", "", record.Row).NextInt64(templates.Count)]];

    private SequenceTokens OfTokens(DataRecord record, CohTemplate template)
    {
        if (options.GoodMarkerIds.Count == 0 || options.BadMarkerIds.Count == 0)
            throw new UserErrorException($"{record.Place}: the row holds token ids, and coh's markers are texts; give good_marker_ids and bad_marker_ids, or rows of texts.");
        var (ids, trained) = (new List<int>(), new List<bool>());
        void Add(IEnumerable<int> more, bool train)
        {
            ids.AddRange(more);
            trained.AddRange(Enumerable.Repeat(train, ids.Count - trained.Count));
        }
        Add(record.Ids("prompt_ids"), false);
        // Markers as ids exclude templates, so every part is an answer.
        foreach (var part in template.Parts)
        {
            var answer = record.Ids($"{part.Field}_ids");
            if (answer.Length == 0) return new SequenceTokens([], []); // a chain with a hole says nothing
            Add(part.Field == "chosen" ? options.GoodMarkerIds : options.BadMarkerIds, false);
            Add(answer, true);
        }
        return new SequenceTokens([.. ids], [.. trained], record.Ids("prompt_ids").Length);
    }

    private static SequenceTokens OfTexts(DataRecord record, CohTemplate template, PrepareContext context)
    {
        var tokenizer = context.RequireTokenizer(record);
        var end = EndToken.Text(tokenizer);
        var (text, spans) = (Text(record, "prompt"), new List<(int[] Before, int[] After)>());
        foreach (var part in template.Parts)
        {
            text += part.Before;
            var said = part.Field is { } field ? Text(record, field).TrimStart(' ') : part.Verdict;
            if (end.Length > 0 && said.EndsWith(end, StringComparison.Ordinal)) said = said[..^end.Length];
            if (!part.Trained)
            {
                text += said; // an answer that is read, not learnt, has no end
                continue;
            }
            var before = Ids(tokenizer, text);
            text += said + end;
            spans.Add((before, Ids(tokenizer, text)));
        }
        var ids = spans[^1].After;
        var trained = new bool[ids.Length];
        foreach (var (before, after) in spans)
        {
            var (from, to) = (ids.AsSpan().CommonPrefixLength(before), ids.AsSpan().CommonPrefixLength(after));
            trained.AsSpan(from, Math.Max(0, to - from)).Fill(true);
        }
        return new SequenceTokens(ids, trained, ids.AsSpan().CommonPrefixLength(Ids(tokenizer, Text(record, "prompt"))));
    }

    private static string Text(DataRecord record, string field) => record.Fields[field] is System.Text.Json.Nodes.JsonArray
        ? throw new UserErrorException($"{record.Place}: '{field}' holds messages, and coh's markers stand in plain texts; give texts (prompt, chosen, rejected).")
        : record.Text(field);

    private static int[] Ids(ITokenizer tokenizer, string text) => [.. tokenizer.EncodeToIds(text)];
}
