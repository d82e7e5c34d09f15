// Rows of score to completion groups: {prompt, completion} of texts or of messages, {prompt_ids, completion_ids}, {messages}, or, rolling, {text}.

using PeftAlign.Abstractions;
using PeftAlign.Host.Rows;

namespace PeftAlign.Host.Inference;

/// <summary>What a row asks: completions with their prompts, in order; their tokens together are the row's.</summary>
/// <param name="Place">File and line.</param>
/// <param name="Parts">One, or the windows of a rolling text; empty where nothing is to be scored.</param>
internal sealed record ScoreRow(string Place, IReadOnlyList<(int[] Prompt, int[] Completion)> Parts)
{
    internal int Tokens => Parts.Sum(p => p.Prompt.Length + p.Completion.Length);
}

internal sealed class ScoreRows(InferenceModel model, PromptEncoder encoder, bool rolling)
{
    /// <exception cref="UserErrorException">The row is at fault; the message names it.</exception>
    internal ScoreRow Read(Row row)
    {
        try
        {
            return new ScoreRow(row.Place, rolling ? [.. Rolling(row)] : [.. One(row).Where(p => p.Completion.Length > 0)]);
        }
        catch (UserErrorException e) when (e is not UserError)
        {
            throw row.Fault(e);
        }
    }

    private IEnumerable<(int[] Prompt, int[] Completion)> One(Row row)
    {
        if (row.Ids("prompt_ids") is { } ids)
        {
            var completion = row.Ids("completion_ids") ?? throw row.Fault("has \"prompt_ids\" but no \"completion_ids\"", "give both");
            return [(encoder.Uncontrolled(ids.Length > 0 ? encoder.Known(ids) : [encoder.First()], "token ids"), encoder.Known(completion))];
        }
        if (ChatRow.IsIn(row)) return [LastMessage(row)];
        var (prompt, text) = (row.Text("prompt"), row.Text("completion"));
        if (prompt is null || text is null)
            throw row.Fault(row.Find("text") is null ? "needs \"prompt\" and \"completion\", \"prompt_ids\" and \"completion_ids\", or \"messages\"" : "has \"text\" alone", row.Find("text") is null ? "give a pair" : "add --rolling for rows with text");
        var (before, whole) = (encoder.Under(prompt), encoder.Under(prompt) + text);
        // A prompt without ids stands for a begin token, which the joint text does not have: all its ids are the completion's.
        return !string.IsNullOrWhiteSpace(before) || encoder.Ids(before).Length > 0 ? [Split(encoder.Text(before), encoder.Text(whole))] : [([encoder.First()], encoder.Ids(whole))];
    }

    // The completion is what the joint text's ids have behind as many ids as the prompt alone has: tokens that join the two
    // texts are the prompt's.
    private static (int[] Prompt, int[] Completion) Split(int[] prompt, int[] whole) => (whole[..Math.Min(prompt.Length, whole.Length)], whole[Math.Min(prompt.Length, whole.Length)..]);

    // What the template writes from where the conversation departs from what stands before its last message; the header counts
    // there only for the assistant's, and a header may hold more than the template writes of an answer ("<think>"). A first
    // token has nothing before it to be scored by.
    private (int[] Prompt, int[] Completion) LastMessage(Row row)
    {
        var chat = ChatRow.Whole(row);
        if (chat.Messages.Count == 0) throw row.Fault("\"messages\" is empty", "give a conversation whose last message is scored");
        var (before, answers) = (chat.Messages.SkipLast(1).ToList(), ChatRow.IsAssistant(chat.Messages[^1]));
        var context = before.Count == 0 && !answers ? []
            : encoder.Chat(chat with { Messages = before, Arguments = chat.Arguments with { AddGenerationPrompt = answers, ContinueFinalMessage = false } });
        var whole = encoder.Chat(chat);
        var same = Math.Max(1, context.AsSpan().CommonPrefixLength(whole));
        return same < whole.Length ? (whole[..same], whole[same..])
            : throw row.Fault("the chat template writes no token of the last message after the part before it", "give a message with content, or a template or max_length that keeps it");
    }

    // All tokens given a begin token. A text beyond the model's positions is cut into windows that each score what the one
    // before did not, the last with as much context as fits (lm-evaluation-harness' rolling windows with a context of 1).
    private IEnumerable<(int[] Prompt, int[] Completion)> Rolling(Row row)
    {
        encoder.Uncontrolled(row, "a whole text");
        var text = row.Text("text") ?? throw row.Fault("has no \"text\"", "give rows like {\"text\": ...}, or leave --rolling out");
        int[] ids = [.. model.TextTokenizer.EncodeToIds(text, addSpecialTokens: false)];
        var window = (int)Math.Min(model.Decoder.Spec.MaxPositions, int.MaxValue);
        int[] all = [encoder.First(), .. ids];
        for (var done = 0; done < ids.Length;)
        {
            var count = Math.Min(window, ids.Length - done);
            var end = done + count; // the window's inputs end before ids[end - 1]
            var start = done == 0 ? 0 : Math.Max(0, end - window);
            yield return (all[start..(done + 1)], ids[done..end]);
            done = end;
        }
    }
}
