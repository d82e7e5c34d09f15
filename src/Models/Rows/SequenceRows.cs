// Rows of supervised fine-tuning as tokens, as TRL's SFT makes them. Shapes: {input_ids}, with labels or masks, and seq_lengths
// where several documents are packed; {prompt_ids, completion_ids}; {prompt, completion} of texts or messages; {messages}
// or {conversations} of {from, value}; {text}: the first that a row has counts. Texts and conversations train every token, rows with a prompt the completion, which
// starts at the first token in which the prompt alone and both together differ.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;

namespace PeftAlign.Models.Rows;

/// <summary>Which tokens of a row are trained.</summary>
/// <param name="CompletionOnly">Of rows with a prompt only the completion, of rows of tokens only what completion_mask marks; null: the former alone.</param>
/// <param name="AssistantOnly">Of conversations, only what the template marks as the assistant's.</param>
public sealed record TrainedPart(bool? CompletionOnly = null, bool AssistantOnly = false);

/// <summary>Reads rows of supervised fine-tuning.</summary>
public static class SequenceRows
{
    private const string PairsRemedy = " To train the chosen answers of pairs give the manifest's data set map: { completion: chosen, chosen: chosen }, which leaves them pairs for other methods, or write rows with jq -c '{prompt, completion: .chosen}'.";

    /// <summary>The sequences of a row, uncut: one, or those that are packed in it.</summary>
    /// <param name="record">A row in one of the shapes above.</param>
    /// <param name="part">What is trained.</param>
    /// <param name="context">Tokenizer, template; the ledger counts shifted boundaries.</param>
    /// <exception cref="UserErrorException">The row has none of the shapes, a field is of the wrong kind, or nothing is marked as the assistant's.</exception>
    public static IReadOnlyList<SequenceTokens> Read(DataRecord record, TrainedPart part, PrepareContext context)
    {
        if (record.Has("input_ids")) return Labelled(record, part);
        if (record.Has("prompt_ids"))
        {
            RefuseAssistantOnly(record, part);
            return [Joined(record.Ids("prompt_ids"), record.Ids("completion_ids"), part)];
        }
        if (record.Has("prompt") && record.Has("completion")) return [WithPrompt(record, part, context, ends: !EndsText(record, context))];
        if (FromValue(record, "conversations") is { } turns) return [Conversation(record with { Fields = turns }, part, context)];
        if (record.Has("messages")) return [Conversation(FromValue(record, "messages") is { } said ? record with { Fields = said } : record, part, context)];
        if (record.Has("text"))
        {
            RefuseAssistantOnly(record, part);
            var encoder = new RowEncoder(record, context);
            return [AllTrained(encoder.Plain(encoder.WithEnd(record.Text("text"))))];
        }
        throw new UserErrorException($"{record.Place}: sft needs text, messages (or conversations of {{from, value}}), prompt and completion, prompt_ids and completion_ids, or input_ids with labels or masks; the row has {RowEncoder.Fields(record)}.{(record.Has("chosen") ? PairsRemedy : "")}");
    }

    /// <summary>The rows as tokens, once: packed where the context says so, else without those that have nothing to train. Counts in the ledger.</summary>
    /// <param name="records">In file order.</param>
    /// <param name="part">What is trained.</param>
    /// <param name="context">Tokenizer, template, limits, packing, ledger.</param>
    /// <returns>Records for <see cref="Groups"/>; they hold tokens and no fields.</returns>
    /// <exception cref="UserErrorException">As for Read.</exception>
    public static IReadOnlyList<DataRecord> Arrange(IReadOnlyList<DataRecord> records, TrainedPart part, PrepareContext context)
    {
        var kept = new List<DataRecord>();
        foreach (var (rows, ledger) in OrderedWork.Map(OrderedWork.Batches(records, _ => 1), context.Threads, Kept))
        {
            kept.AddRange(rows);
            context.Ledger.Add(ledger);
        }
        if (context.Packing is { } strategy) kept = Packed(kept, strategy, context);
        foreach (var record in kept) CountKept((IReadOnlyList<SequenceTokens>)record.Prepared!, context.Ledger);
        return kept;

        (List<DataRecord> Rows, MaskLedger Ledger) Kept(IReadOnlyList<DataRecord> batch)
        {
            var (rows, own) = (new List<DataRecord>(batch.Count), context with { Ledger = new MaskLedger() });
            foreach (var record in batch)
                if (Cut(record, part, own) is { } cut) rows.Add(new DataRecord([], record.Source, record.Row) { Line = record.Line, Prepared = cut });
            return (rows, own.Ledger);
        }
    }

    /// <summary>The groups of a row to train, one for each of its sequences that has something to train. Counts rows that were not arranged.</summary>
    /// <param name="record">A row as for Read, or one that <see cref="Arrange"/> made.</param>
    /// <param name="part">What is trained.</param>
    /// <param name="context">Tokenizer, template, limits, ledger.</param>
    /// <exception cref="UserErrorException">As for Read.</exception>
    public static IEnumerable<CompletionGroup> Groups(DataRecord record, TrainedPart part, PrepareContext context)
    {
        if (record.Prepared is not IReadOnlyList<SequenceTokens> sequences)
        {
            sequences = Cut(record, part, context) ?? [];
            CountKept(sequences, context.Ledger);
        }
        return sequences.Select(s => s.Group()).OfType<CompletionGroup>();
    }

    // The row's sequences within the limits; null where no token is left to train and the row is not packed.
    private static List<SequenceTokens>? Cut(DataRecord record, TrainedPart part, PrepareContext context)
    {
        var whole = Read(record, part, context);
        var ledger = context.Ledger;
        ledger.Rows++;
        var cut = whole.Select(s => s.Cut(context)).ToList();
        var lost = whole.Sum(s => (long)s.Ids.Length) - cut.Sum(s => (long)s.Ids.Length);
        ledger.TokensCut += lost;
        if (lost > 0) ledger.RowsTruncated++;
        if (cut.TrueForAll(s => s.TrainedCount == 0))
        {
            ledger.RowsWithoutTrainedToken++;
            if (context.Packing is not null) return cut; // it takes its room in a pack, as in TRL, and its documents are counted there
            ledger.TokensRefused += cut.Sum(s => s.Ids.Length);
            return null;
        }
        var end = context.Tokenizer?.SpecialTokens.Eos;
        ledger.AnswersWithTrainedEnd += cut.Count(s => s.Ids.Length > 1 && s.Ids[^1] == end && s.Trained[^1]);
        return cut;
    }

    // A packed row has its own number; pieces of prompts, and rows without a trained token, may make one in which nothing is trained: it is left out.
    private static List<DataRecord> Packed(List<DataRecord> rows, string strategy, PrepareContext context)
    {
        var packs = Packing.Pack([.. rows.SelectMany(r => (IReadOnlyList<SequenceTokens>)r.Prepared!)], strategy, context.MaxLength);
        var trained = packs.Where(pack => pack.Any(s => s.TrainedCount > 0)).ToList();
        context.Ledger.TokensRefused += packs.Except(trained).Sum(pack => pack.Sum(s => (long)s.Ids.Length));
        return [.. trained.Select((pack, k) => new DataRecord([], rows[0].Source + ", packed", k + 1) { Prepared = pack })];
    }

    // A document in which nothing is trained does not go into the model, though others of its row do: a piece of a prompt, or of one id.
    private static void CountKept(IReadOnlyList<SequenceTokens> sequences, MaskLedger ledger)
    {
        foreach (var sequence in sequences)
        {
            if (sequence.TrainedCount > 0) ledger.TokensKept += sequence.Ids.Length;
            else ledger.TokensRefused += sequence.Ids.Length;
        }
        ledger.TokensTrained += sequences.Sum(s => (long)s.TrainedCount);
    }

    private static IReadOnlyList<SequenceTokens> Labelled(DataRecord record, TrainedPart part)
    {
        RefuseAssistantOnly(record, part);
        var whole = Of(record.Has("labels") ? LabelledRows.Read(record, "input_ids", "labels") : LabelledRows.Masked(record, "input_ids", Masks(record, part)));
        if (!record.Has("seq_lengths")) return [whole];
        var (lengths, start) = (record.Ids("seq_lengths"), 0);
        if (lengths.Any(l => l < 1) || lengths.Sum(l => (long)l) != whole.Ids.Length)
            throw new UserErrorException($"{record.Place}: seq_lengths must be positive and sum to the {whole.Ids.Length} entries of input_ids.");
        return [.. lengths.Select(length => whole.Piece(start, start += length))];
    }

    // By TRL's rule a completion_mask counts without being asked for only where the row still holds the texts that it was made of.
    private static IEnumerable<string> Masks(DataRecord record, TrainedPart part)
    {
        if (record.Has("completion_mask") && (part.CompletionOnly ?? (record.Has("prompt") && record.Has("completion")))) yield return "completion_mask";
        if (record.Has("assistant_masks")) yield return "assistant_masks";
    }

    private static SequenceTokens Of((int[] Ids, bool[] Trained) row) => new(row.Ids, row.Trained);

    private static SequenceTokens AllTrained(int[] ids) => new(ids, [.. ids.Select(_ => true)]);

    private static SequenceTokens Joined(int[] prompt, int[] completion, TrainedPart part) =>
        new([.. prompt, .. completion], [.. prompt.Select(_ => part.CompletionOnly == false), .. completion.Select(_ => true)], prompt.Length);

    // As TRL's SFT takes conversations of {from, value}: their roles stay as they are written. Null where the field holds something else.
    private static JsonObject? FromValue(DataRecord record, string field)
    {
        if (record.Fields[field] is not JsonArray { Count: > 0 } turns || turns[0] is not JsonObject first || !first.ContainsKey("from") || !first.ContainsKey("value")) return null;
        var fields = record.Fields.DeepClone().AsObject();
        fields.Remove("conversations");
        fields["messages"] = new JsonArray([.. turns.Select(turn => turn is JsonObject message ? Renamed(message) : turn?.DeepClone())]);
        return fields;
    }

    // As there, from and value replace a role and a content that stand beside them.
    private static JsonObject Renamed(JsonObject message)
    {
        var renamed = message.DeepClone().AsObject();
        foreach (var (own, name) in ((string, string)[])[("from", "role"), ("value", "content")])
            if (renamed.Remove(own, out var said)) renamed[name] = said;
        return renamed;
    }

    private static SequenceTokens Conversation(DataRecord record, TrainedPart part, PrepareContext context)
    {
        if (!RowEncoder.HoldsMessages(record, "messages")) throw record.Wrong("messages", "a list of messages");
        var encoder = new RowEncoder(record, context);
        var messages = encoder.Messages("messages");
        return part.AssistantOnly ? Of(encoder.Marked(messages)) : AllTrained(encoder.Conversation(messages));
    }

    // TRL writes the end token behind the text of a row that has one without it, and then not behind the completion that it trains.
    private static bool EndsText(DataRecord record, PrepareContext context) =>
        record.Has("text") && !RowEncoder.HoldsMessages(record, "prompt", "completion") && record.Text("text") is var text && new RowEncoder(record, context).WithEnd(text) != text;

    /// <summary>The sequence of a row {prompt, completion}.</summary>
    internal static SequenceTokens WithPrompt(DataRecord record, TrainedPart part, PrepareContext context, bool ends = true)
    {
        var encoder = new RowEncoder(record, context);
        var chat = RowEncoder.HoldsMessages(record, "prompt", "completion");
        if (!chat) RefuseAssistantOnly(record, part);
        var prompt = chat ? encoder.Conversation(encoder.Messages("prompt"), ChatEnd.AnswerNext) : encoder.Plain(record.Text("prompt"));
        var (whole, assistant) = !chat ? (encoder.Plain(record.Text("prompt") + (ends ? encoder.WithEnd(record.Text("completion")) : record.Text("completion"))), null)
            : part.AssistantOnly ? encoder.Marked(encoder.Messages("prompt", "completion"))
            : (encoder.Conversation(encoder.Messages("prompt", "completion")), (bool[]?)null);
        var same = RowEncoder.Shared(prompt, whole);
        if (same < prompt.Length) context.Ledger.RowsWithShiftedBoundary++;
        var joined = Joined(whole[..same], whole[same..], part);
        return assistant is null ? joined : joined with { Trained = [.. joined.Trained.Zip(assistant, (a, b) => a && b)] };
    }

    private static void RefuseAssistantOnly(DataRecord record, TrainedPart part)
    {
        if (part.AssistantOnly)
            throw new UserErrorException($"{record.Place}: assistant_only_loss needs conversations (messages, or prompt and completion as messages); the row has {RowEncoder.Fields(record)}. Turn it off, or give messages.");
    }
}
