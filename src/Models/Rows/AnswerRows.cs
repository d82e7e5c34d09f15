// Rows of single answers with a verdict, as TRL's KTO makes them: {prompt, completion, label} of texts or messages,
// {prompt_ids, completion_ids, label}, or preference rows, of which all chosen answers of a block of 1000 rows come before all
// rejected ones.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;

namespace PeftAlign.Models.Rows;

/// <summary>Reads rows of single answers.</summary>
public static class AnswerRows
{
    private const int Block = 1000;

    /// <summary>Rows {prompt, completion, label} of preference rows; others stay as they are.</summary>
    /// <param name="records">In file order.</param>
    /// <exception cref="UserErrorException">A preference row lacks a field.</exception>
    public static IReadOnlyList<DataRecord> Unpaired(IReadOnlyList<DataRecord> records)
    {
        if (!records.Any(r => r.Has("chosen") || r.Has("chosen_ids"))) return records;
        return [.. records.Chunk(Block).SelectMany(block => block.Select(r => Side(r, "chosen", true)).Concat(block.Select(r => Side(r, "rejected", false))))];
    }

    /// <summary>A row's answer, uncut, and whether it is a desirable one.</summary>
    /// <param name="record">A row that is no pair.</param>
    /// <param name="context">Tokenizer, template; the ledger counts shifted boundaries.</param>
    /// <exception cref="UserErrorException">A field is missing or of the wrong kind.</exception>
    public static (AnswerTokens Answer, bool Label) Read(DataRecord record, PrepareContext context)
    {
        var label = LabelOf(record);
        if (record.Has("completion_ids")) return (new AnswerTokens(record.Ids("prompt_ids"), record.Ids("completion_ids")), label);
        if (!record.Has("prompt") || !record.Has("completion"))
            throw new UserErrorException($"{record.Place}: a row with a label needs prompt and completion, or prompt_ids and completion_ids; the row has {RowEncoder.Fields(record)}.");
        var whole = SequenceRows.WithPrompt(record, new TrainedPart(), context);
        return (new AnswerTokens(whole.Ids[..whole.Prompt], whole.Ids[whole.Prompt..]), label);
    }

    /// <summary>A row's label: true or false, or either as a text in any case, as files of separated values have it.</summary>
    /// <param name="record">A row that is no pair.</param>
    /// <exception cref="UserErrorException">It has no label, or another one.</exception>
    public static bool LabelOf(DataRecord record) => record.Fields["label"] is not JsonValue value ? throw Unlabelled(record)
        : value.TryGetValue<bool>(out var label) ? label
        : value.TryGetValue<string>(out var text) && bool.TryParse(text, out var written) ? written
        : throw Unlabelled(record);

    /// <summary>An answer within the limits, as the collator of TRL cuts it.</summary>
    /// <param name="answer">Prompt and answer.</param>
    /// <param name="context">Limits.</param>
    public static AnswerTokens Cut(AnswerTokens answer, PrepareContext context) => Answers.Cut(answer, context);

    /// <summary>The group to train, cut to the limits; empty where the answer has no token that can be trained. Counts in the ledger.</summary>
    /// <param name="answer">A row's, uncut.</param>
    /// <param name="context">Limits, ledger.</param>
    public static IReadOnlyList<CompletionGroup> Groups(AnswerTokens answer, PrepareContext context)
    {
        context.Ledger.Rows++;
        return Answers.Groups([answer], context);
    }

    /// <summary>Of each row, the completion of another one: the row before in its block, the first row's is the block's last.</summary>
    /// <param name="completions">In order, refused rows left out.</param>
    /// <param name="batch">Rows of a block: the batch size.</param>
    public static IReadOnlyList<int[]> Rotated(IReadOnlyList<int[]> completions, int batch) =>
        [.. completions.Chunk(batch).SelectMany(block => block[^1..].Concat(block[..^1]))];

    private static UserErrorException Unlabelled(DataRecord record) => record.Wrong("label", "true or false");

    private static DataRecord Side(DataRecord record, string side, bool label)
    {
        var tokens = record.Has(side + "_ids");
        if (!tokens && !record.Has(side)) throw record.Wrong(side, "there, as in every row of pairs");
        var pair = tokens ? record : PreferenceRows.WithPrompt(record);
        var (prompt, answer) = tokens ? ("prompt_ids", "completion_ids") : ("prompt", "completion");
        var fields = new JsonObject { [prompt] = pair.Fields[prompt]?.DeepClone(), [answer] = pair.Fields[tokens ? side + "_ids" : side]?.DeepClone(), ["label"] = label };
        foreach (var kept in (string[])["tools", "chat_template_kwargs"])
            if (pair.Fields[kept] is { } value) fields[kept] = value.DeepClone();
        return record with { Fields = fields };
    }
}
