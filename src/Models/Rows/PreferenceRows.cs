// Preference rows as tokens, as TRL's DPO makes them. Shapes: {prompt, chosen, rejected} and {chosen, rejected} (their common
// beginning is the prompt), each a text or messages; {prompt_ids, chosen_ids, rejected_ids}; {chosen_input_ids, chosen_labels,
// rejected_input_ids, rejected_labels}. The answers start at the first token in which the prompt alone differs from the
// prompt with either answer.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;

namespace PeftAlign.Models.Rows;

/// <summary>A pair before truncation.</summary>
/// <param name="Chosen">The better answer with what stands before it.</param>
/// <param name="Rejected">The worse one; its prompt is the same, unless the row gives whole sequences.</param>
/// <param name="Shifted">Whether the prompt alone becomes other tokens.</param>
public sealed record PairTokens(AnswerTokens Chosen, AnswerTokens Rejected, bool Shifted = false);

/// <summary>A prompt and its answer as token ids.</summary>
/// <param name="Prompt">May be empty.</param>
/// <param name="Completion">The answer, its end token included.</param>
public sealed record AnswerTokens(int[] Prompt, int[] Completion)
{
    /// <summary>Where in the prompt a token stands that every cut leaves, such as a control's: in front, or behind a begin token. Null for none.</summary>
    public int? Kept { get; init; }
}

/// <summary>Reads preference rows.</summary>
public static class PreferenceRows
{
    private static readonly string[] Pair = ["prompt", "chosen", "rejected"];

    /// <summary>The pair of a row, uncut.</summary>
    /// <param name="record">A row in one of the shapes above.</param>
    /// <param name="context">Tokenizer and chat template; neither is needed where the row holds tokens.</param>
    /// <exception cref="UserErrorException">The row has none of the shapes, or a field of the wrong kind.</exception>
    public static PairTokens Read(DataRecord record, PrepareContext context)
    {
        if (record.Has("chosen_ids"))
        {
            var prompt = record.Ids("prompt_ids");
            return new PairTokens(new(prompt, record.Ids("chosen_ids")), new(prompt, record.Ids("rejected_ids")));
        }
        if (record.Has("chosen_input_ids"))
            return new PairTokens(LabelledRows.Answer(record, "chosen_input_ids", "chosen_labels"), LabelledRows.Answer(record, "rejected_input_ids", "rejected_labels"));
        ThrowIfLacking(record);
        return OfTexts(WithPrompt(record), context);
    }

    /// <summary>Both whole sequences of a row, uncut, as TRL's reward trainer makes them: the prompt is not rendered alone, so that the
    /// row may say where its conversations end (add_generation_prompt, continue_final_message).</summary>
    /// <param name="record">A row as for <see cref="Read"/>.</param>
    /// <param name="context">As for <see cref="Read"/>.</param>
    /// <exception cref="UserErrorException">As for <see cref="Read"/>.</exception>
    public static (int[] Chosen, int[] Rejected) ReadWhole(DataRecord record, PrepareContext context)
    {
        if (record.Has("chosen_ids") || record.Has("chosen_input_ids"))
        {
            var pair = Read(record, context);
            return ([.. pair.Chosen.Prompt, .. pair.Chosen.Completion], [.. pair.Rejected.Prompt, .. pair.Rejected.Completion]);
        }
        ThrowIfLacking(record);
        var (encoder, chat) = (new RowEncoder(record, context), RowEncoder.HoldsMessages(record, Pair));
        return (Whole(encoder, record, "chosen", chat), Whole(encoder, record, "rejected", chat));
    }

    private static void ThrowIfLacking(DataRecord record)
    {
        if (!record.Has("chosen") || !record.Has("rejected"))
            throw new UserErrorException($"{record.Place}: a preference row needs chosen and rejected (and prompt), or prompt_ids, chosen_ids and rejected_ids; the row has {RowEncoder.Fields(record)}.");
    }

    /// <summary>
    /// The groups to train, cut to the limits: one whose two completions are chosen and rejected, or, where truncation or the
    /// row itself gave them different prompts or none, two of one completion each, chosen first. Empty where an answer has no
    /// token that can be trained. Counts in the ledger. A completion's RecordedLength counts a first token that is never
    /// predicted because nothing stands before it.
    /// </summary>
    /// <param name="record">A row as for Read.</param>
    /// <param name="context">Tokenizer, template, limits, ledger.</param>
    /// <exception cref="UserErrorException">As for Read.</exception>
    public static IReadOnlyList<CompletionGroup> Groups(DataRecord record, PrepareContext context)
    {
        return GroupsOf(record, Read(record, context), context);
    }

    /// <summary>The groups of a row whose pair was read already.</summary>
    /// <param name="record">The row.</param>
    /// <param name="pair">What <see cref="Read"/> made of it.</param>
    /// <param name="context">Limits, ledger.</param>
    public static IReadOnlyList<CompletionGroup> GroupsOf(DataRecord record, PairTokens pair, PrepareContext context)
    {
        Count(record, pair, context.Ledger);
        return Answers.Groups([pair.Chosen, pair.Rejected], context);
    }

    /// <summary>Counts a pair, and what is doubtful about it.</summary>
    internal static void Count(DataRecord record, PairTokens pair, MaskLedger ledger)
    {
        ledger.Rows++;
        if (pair.Shifted) ledger.RowsWithShiftedBoundary++;
        if (pair.Chosen.Completion.AsSpan().SequenceEqual(pair.Rejected.Completion) && pair.Chosen.Prompt.AsSpan().SequenceEqual(pair.Rejected.Prompt)) ledger.RowsWithEqualAnswers++;
        if (IsEmpty(record.Fields["chosen"]) || IsEmpty(record.Fields["rejected"])) ledger.RowsWithEmptyAnswer++;
    }

    private static bool IsEmpty(JsonNode? answer) => answer is JsonValue value && value.TryGetValue<string>(out var text) && text.Length == 0;

    // TRL's extract_prompt: what both answers begin with; of texts without the blank before they part.
    internal static DataRecord WithPrompt(DataRecord record)
    {
        if (record.Has("prompt")) return record;
        var (chosen, rejected) = (record.Fields["chosen"]!, record.Fields["rejected"]!);
        var fields = record.Fields.DeepClone().AsObject();
        if (RowEncoder.HoldsMessages(record, Pair))
        {
            var (a, b) = (chosen.AsArray(), rejected.AsArray());
            var same = Parting(Math.Min(a.Count, b.Count), k => JsonNode.DeepEquals(a[k], b[k]));
            JsonNode? Slice(JsonArray of, int from, int to) => new JsonArray([.. of.Skip(from).Take(to - from).Select(m => m?.DeepClone())]);
            (fields["prompt"], fields["chosen"], fields["rejected"]) = (Slice(a, 0, same), Slice(a, same, a.Count), Slice(b, same, b.Count));
        }
        else
        {
            var (a, b) = (record.Text("chosen"), record.Text("rejected"));
            var same = Parting(Math.Min(a.Length, b.Length), k => a[k] == b[k]);
            if (same > 0 && char.IsHighSurrogate(a[same - 1])) same--;
            if (same > 0 && a[same - 1] == ' ' && same < Math.Min(a.Length, b.Length) && a[same] != b[same]) same--;
            (fields["prompt"], fields["chosen"], fields["rejected"]) = (a[..same], a[same..], b[same..]);
        }
        return record with { Fields = fields };
    }

    // Where one is the beginning of the other, the last entry that both have counts to the answers.
    private static int Parting(int shorter, Func<int, bool> same)
    {
        for (var k = 0; k < shorter; k++)
            if (!same(k)) return k;
        return Math.Max(0, shorter - 1);
    }

    private static PairTokens OfTexts(DataRecord record, PrepareContext context)
    {
        var encoder = new RowEncoder(record, context);
        var chat = RowEncoder.HoldsMessages(record, Pair);
        var prompt = chat ? encoder.Conversation(encoder.Messages("prompt"), ChatEnd.AnswerNext) : encoder.Plain(record.Text("prompt"));
        var (chosen, rejected) = (Whole(encoder, record, "chosen", chat), Whole(encoder, record, "rejected", chat));
        var same = Math.Min(RowEncoder.Shared(prompt, chosen), RowEncoder.Shared(prompt, rejected));
        var shared = prompt[..same];
        return new PairTokens(new(shared, chosen[same..]), new(shared, rejected[same..]), Shifted: same < prompt.Length);
    }

    // The answer with the prompt before it, where the row has one.
    private static int[] Whole(RowEncoder encoder, DataRecord record, string answer, bool chat)
    {
        var hasPrompt = record.Has("prompt");
        return chat ? encoder.Conversation(hasPrompt ? encoder.Messages("prompt", answer) : encoder.Messages(answer))
            : encoder.Plain((hasPrompt ? record.Text("prompt") : "") + encoder.WithEnd(record.Text(answer)));
    }
}
