// Preference rows as sequences to score: the score stands at the last token that is not padding, where transformers and judges look for
// it. It is asked for as one more token there, which makes no row. Rows with an answer longer than max_length are refused, as TRL
// does: a cut answer has no end to score.

using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models.Rows;

namespace PeftAlign.Methods.Reward;

internal static class RewardRows
{
    /// <summary>The groups of a row: one where both answers follow one prompt, else one for each. Counts in the ledger.</summary>
    internal static IReadOnlyList<CompletionGroup> Groups(DataRecord record, PrepareContext context)
    {
        var whole = PreferenceRows.ReadWhole(record, context);
        var ledger = context.Ledger;
        ledger.Rows++;
        int[][] sequences = [whole.Chosen, whole.Rejected];
        var tokens = sequences.Sum(s => (long)s.Length);
        if (sequences.Any(s => s.Length == 0 || s.Length > context.MaxLength))
        {
            ledger.RowsWithoutTrainedToken++;
            ledger.TokensRefused += tokens;
            return [];
        }
        ledger.TokensKept += tokens;
        ledger.TokensTrained += sequences.Length; // a score each
        ledger.AnswersWithTrainedEnd += sequences.Count(s => s[^1] == context.Tokenizer?.SpecialTokens.Eos && s[^1] != context.PadToken);
        var (chosen, rejected) = (WithoutPadding(sequences[0], context), WithoutPadding(sequences[1], context));
        var shared = chosen.AsSpan().CommonPrefixLength(rejected);
        var margin = MarginOf(record);
        return shared > 0
            ? [new CompletionGroup(chosen[..shared], [Scored(chosen[shared..]) with { Margin = margin }, Scored(rejected[shared..])])]
            : [new CompletionGroup(chosen[..1], [Scored(chosen[1..]) with { Margin = margin }]), new CompletionGroup(rejected[..1], [Scored(rejected[1..])])];
    }

    private static int[] WithoutPadding(int[] sequence, PrepareContext context) =>
        sequence[..Math.Max(1, 1 + Array.FindLastIndex(sequence, id => id != context.PadToken))];

    private static Completion Scored(int[] tokens)
    {
        var weights = new float[tokens.Length + 1];
        weights[^1] = 1;
        return new Completion([.. tokens, 0], weights);
    }

    // A text is accepted too, since files of separated values hold nothing else.
    private static double MarginOf(DataRecord record)
    {
        if (!record.Has("margin")) return 0;
        if (record.Fields["margin"] is JsonValue value && Number(value) is { } margin && double.IsFinite(margin)) return margin;
        throw record.Wrong("margin", "a number: by how much the chosen answer's reward is to be above the other's");
    }

    private static double? Number(JsonValue value) => value.GetValueKind() == JsonValueKind.Number ? (double)value
        : value.TryGetValue<string>(out var text) && double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var written) ? written
        : null;
}
