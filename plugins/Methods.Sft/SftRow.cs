// One row as token ids and a mark for each token that is trained.

using PeftAlign.Abstractions;

namespace PeftAlign.Methods.Sft;

internal sealed record SftRow(int[] Ids, bool[] Trained)
{
    internal static SftRow Of(DataRecord record, bool completionOnly, PrepareContext context)
    {
        if (record.Has("input_ids")) return Labelled(record);
        if (record.Has("prompt_ids")) return Joined(record.Ids("prompt_ids"), record.Ids("completion_ids"), completionOnly);
        if (record.Has("text")) return AllTrained(Encoded(context.RequireTokenizer(record), WithEnd(record.Text("text"), context)));
        if (record.Has("prompt")) return Texts(record, completionOnly, context);
        throw record.Fields.ContainsKey("messages")
            ? new UserErrorException($"{record.Source}, row {record.Row}: chat rows (messages) are not built yet for sft; render them to prompt and completion.")
            : new UserErrorException($"{record.Source}, row {record.Row}: sft needs text, prompt and completion, prompt_ids and completion_ids, or input_ids and labels; the row has {string.Join(", ", record.Fields.Select(f => f.Key))}.");
    }

    /// <summary>The group to train, cut to the limit; null where no token is left to train. Counts in the ledger.</summary>
    internal CompletionGroup? Group(PrepareContext context)
    {
        var ledger = context.Ledger;
        ledger.Rows++;
        var length = Math.Min(Ids.Length, context.MaxLength);
        ledger.TokensCut += Ids.Length - length;
        if (length < Ids.Length) ledger.RowsTruncated++;
        // The first token has nothing before it: it is never predicted. What stands before the first trained token is prompt.
        var first = Array.IndexOf(Trained, true, Math.Min(1, length), Math.Max(0, length - 1));
        if (first < 0)
        {
            ledger.RowsWithoutTrainedToken++;
            return null;
        }
        var weights = Trained[first..length].Select(t => t ? 1f : 0f).ToArray();
        ledger.TokensKept += length;
        ledger.TokensTrained += weights.Count(w => w > 0);
        return new CompletionGroup(Ids[..first], [new Completion(Ids[first..length], weights)]);
    }

    private static SftRow Labelled(DataRecord record)
    {
        var (ids, labels) = (record.Ids("input_ids"), record.Ids("labels"));
        if (ids.Length != labels.Length)
            throw new UserErrorException($"{record.Source}, row {record.Row}: input_ids has {ids.Length} entries and labels {labels.Length}; they must be equally long.");
        for (var k = 0; k < ids.Length; k++)
            if (labels[k] != -100 && labels[k] != ids[k])
                throw new UserErrorException($"{record.Source}, row {record.Row}: labels[{k}] is {labels[k]}; it must be -100 or input_ids[{k}] = {ids[k]}.");
        return new SftRow(ids, labels.Select(l => l != -100).ToArray());
    }

    private static SftRow Joined(int[] prompt, int[] completion, bool completionOnly) =>
        new([.. prompt, .. completion], [.. prompt.Select(_ => !completionOnly), .. completion.Select(_ => true)]);

    private static SftRow AllTrained(int[] ids) => new(ids, ids.Select(_ => true).ToArray());

    private static SftRow Texts(DataRecord record, bool completionOnly, PrepareContext context)
    {
        var tokenizer = context.RequireTokenizer(record);
        var prompt = Encoded(tokenizer, record.Text("prompt"));
        var whole = Encoded(tokenizer, WithEnd(record.Text("prompt") + record.Text("completion"), context));
        var same = 0;
        while (same < prompt.Length && same < whole.Length && prompt[same] == whole[same]) same++;
        return Joined(whole[..same], whole[same..], completionOnly);
    }

    private static string WithEnd(string text, PrepareContext context)
    {
        if (context.Tokenizer?.SpecialTokens.Eos is not { } eos) return text;
        var end = context.Tokenizer.Decode([eos]);
        return text.EndsWith(end, StringComparison.Ordinal) ? text : text + end;
    }

    private static int[] Encoded(ITokenizer tokenizer, string text) => tokenizer.EncodeToIds(text).ToArray();
}
