// Preference rows as TRL's ORPO and CPO make them: texts (chats are rendered first) without what the tokenizer puts around
// them, then a begin token in front and an end token behind where they lack. A merge may move the boundary by one token, no
// more. The answer is cut to what the prompt leaves of max_length, the prompt never.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;

namespace PeftAlign.Models.Rows;

/// <summary>Reads preference rows for methods without a reference.</summary>
public static class JoinedPreferenceRows
{
    /// <summary>The pair of a row, cut; the prompts may differ by their last token, and an answer may be empty.</summary>
    /// <param name="record">A row as for <see cref="PreferenceRows.Read"/>.</param>
    /// <param name="context">Tokenizer, template and limits; rows of tokens need neither of the former and are used as they are.</param>
    /// <exception cref="UserErrorException">The row has none of the shapes, or prompt and answers merge into other tokens than one.</exception>
    public static PairTokens Read(DataRecord record, PrepareContext context)
    {
        if (record.Has("chosen_ids") || record.Has("chosen_input_ids"))
        {
            var given = PreferenceRows.Read(record, context);
            return new PairTokens(Cut(given.Chosen, context), Cut(given.Rejected, context));
        }
        var row = PreferenceRows.WithPrompt(record);
        var encoder = new RowEncoder(row, context, joined: true);
        var (prompt, chosen, rejected) = Texts(row, encoder);
        var alone = encoder.Plain(prompt, special: false);
        var (a, b) = (Split(row, encoder, alone, prompt, chosen), Split(row, encoder, alone, prompt, rejected));
        if (Math.Abs(a.Prompt.Length - b.Prompt.Length) > 1 || a.Prompt.Zip(b.Prompt).Count(p => p.First != p.Second) > 1) throw Merged(row);
        var shifted = a.Prompt.Length < alone.Length || b.Prompt.Length < alone.Length;
        var special = context.RequireTokenizer(record).SpecialTokens;
        return new PairTokens(Cut(Framed(a, special), context), Cut(Framed(b, special), context), shifted);
    }

    /// <summary>The groups to train; as <see cref="PreferenceRows.Groups"/>.</summary>
    /// <param name="record">A row as for Read.</param>
    /// <param name="context">Tokenizer, template, limits, ledger.</param>
    /// <exception cref="UserErrorException">As for Read.</exception>
    public static IReadOnlyList<CompletionGroup> Groups(DataRecord record, PrepareContext context)
    {
        var unlimited = context with { MaxLength = int.MaxValue };
        var pair = Read(record, unlimited);
        PreferenceRows.Count(record, pair, context.Ledger);
        return Answers.Groups([pair.Chosen, pair.Rejected], context);
    }

    private static (string Prompt, string Chosen, string Rejected) Texts(DataRecord row, RowEncoder encoder)
    {
        if (!RowEncoder.HoldsMessages(row, "prompt", "chosen", "rejected")) return (row.Text("prompt"), row.Text("chosen"), row.Text("rejected"));
        var prompt = encoder.Render(encoder.Messages("prompt"), End(row)).Text;
        var (chosen, rejected) = (encoder.Render(encoder.Messages("prompt", "chosen")).Text, encoder.Render(encoder.Messages("prompt", "rejected")).Text);
        foreach (var whole in (string[])[chosen, rejected]) prompt = prompt[..prompt.AsSpan().CommonPrefixLength(whole)];
        if (prompt.Length > 0 && char.IsHighSurrogate(prompt[^1])) prompt = prompt[..^1];
        return (prompt, chosen[prompt.Length..], rejected[prompt.Length..]);
    }

    // An answer continues an assistant's message; the other methods of TRL begin a new one whoever spoke last.
    private static ChatEnd End(DataRecord row) => row.Fields["prompt"] is not JsonArray { Count: > 0 } prompt ? ChatEnd.AnswerNext
        : prompt[^1] is JsonObject last && last["role"] is JsonValue role && role.TryGetValue<string>(out var name) ? name switch
        {
            "user" or "tool" => ChatEnd.AnswerNext,
            "assistant" => ChatEnd.Continued,
            _ => throw new UserErrorException($"{row.Place}: the prompt's last message is of role '{name}', and what is answered must be of user, tool or assistant; end the prompt with one of these."),
        }
        : throw new UserErrorException($"{row.Place}: the prompt's last message has no role; give it one of user, tool or assistant.");

    private static AnswerTokens Split(DataRecord row, RowEncoder encoder, int[] alone, string prompt, string answer)
    {
        var whole = encoder.Plain(prompt + answer, special: false);
        if (whole.Length < alone.Length) throw Merged(row);
        var start = alone.AsSpan().SequenceEqual(whole.AsSpan(0, alone.Length)) ? alone.Length : alone.Length - 1;
        return new AnswerTokens(whole[..start], whole[start..]);
    }

    private static AnswerTokens Framed(AnswerTokens answer, SpecialTokenIds special)
    {
        var prompt = special.Bos is { } bos && (answer.Prompt.Length == 0 || answer.Prompt[0] != bos) ? [bos, .. answer.Prompt] : answer.Prompt;
        var completion = special.Eos is { } eos && (answer.Completion.Length == 0 || answer.Completion[^1] != eos) ? [.. answer.Completion, eos] : answer.Completion;
        return new AnswerTokens(prompt, completion);
    }

    private static AnswerTokens Cut(AnswerTokens answer, PrepareContext context)
    {
        var room = Math.Max(0, context.MaxLength - answer.Prompt.Length);
        return answer.Completion.Length <= room ? answer : answer with { Completion = answer.Completion[..room] };
    }

    private static UserErrorException Merged(DataRecord row) =>
        new($"{row.Place}: prompt and answers merge into other tokens by more than one at their boundary; end the prompt where a word ends.");
}
