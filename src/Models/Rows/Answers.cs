// Answers cut to the limits and made into groups, with every token counted. keep_start keeps the first max_length ids of
// prompt and answer together, keep_end the last; a prompt of its own limit keeps the same side. A control's token is never cut.

using PeftAlign.Abstractions;

namespace PeftAlign.Models.Rows;

/// <summary>Truncation and groups of answers to one prompt.</summary>
internal static class Answers
{
    /// <summary>Prompt and answer as they are trained.</summary>
    internal static AnswerTokens Cut(AnswerTokens answer, PrepareContext context)
    {
        if (answer.Kept is not { } at) return Within(answer, context);
        // The others are cut to one token less; this one goes back in front of them, behind a begin token that is still there.
        var others = new AnswerTokens([.. answer.Prompt[..at], .. answer.Prompt[(at + 1)..]], answer.Completion);
        var cut = Within(others, context with { MaxLength = context.MaxLength - 1, MaxPromptLength = context.MaxPromptLength - 1 });
        var front = cut.Prompt.AsSpan().CommonPrefixLength(answer.Prompt.AsSpan(0, at));
        return cut with { Prompt = [.. cut.Prompt[..front], answer.Prompt[at], .. cut.Prompt[front..]], Kept = front };
    }

    private static AnswerTokens Within(AnswerTokens answer, PrepareContext context)
    {
        var prompt = answer.Prompt;
        if (context.MaxPromptLength is { } most && prompt.Length > most) prompt = context.KeepEnd ? prompt[^most..] : prompt[..most];
        var over = prompt.Length + answer.Completion.Length - context.MaxLength;
        if (over <= 0) return answer with { Prompt = prompt };
        if (!context.KeepEnd)
        {
            var kept = Math.Min(prompt.Length, context.MaxLength);
            return new AnswerTokens(prompt[..kept], answer.Completion[..(context.MaxLength - kept)]);
        }
        var fromPrompt = Math.Min(over, prompt.Length);
        return new AnswerTokens(prompt[fromPrompt..], answer.Completion[(over - fromPrompt)..]);
    }

    /// <summary>One group where all prompts are equal and there is one, else one for each answer; none where an answer has nothing to train.</summary>
    internal static IReadOnlyList<CompletionGroup> Groups(IReadOnlyList<AnswerTokens> answers, PrepareContext context)
    {
        var cut = answers.Select(a => Cut(a, context)).ToList();
        var trainable = cut.TrueForAll(a => a.Completion.Length > (a.Prompt.Length == 0 ? 1 : 0));
        Count(answers, cut, trainable, context);
        if (!trainable) return [];
        if (cut[0].Prompt.Length > 0 && cut.TrueForAll(a => a.Prompt.AsSpan().SequenceEqual(cut[0].Prompt)))
            return [new CompletionGroup(cut[0].Prompt, [.. cut.Select(a => Completion.Of(a.Completion))])];
        return [.. cut.Select(Alone)];
    }

    // Without a prompt the first token has nothing before it: it is what the rest is predicted from.
    private static CompletionGroup Alone(AnswerTokens answer) => answer.Prompt.Length > 0
        ? new CompletionGroup(answer.Prompt, [Completion.Of(answer.Completion)])
        : new CompletionGroup(answer.Completion[..1], [Completion.Of(answer.Completion[1..]) with { RecordedLength = answer.Completion.Length }]);

    private static void Count(IReadOnlyList<AnswerTokens> answers, List<AnswerTokens> cut, bool trainable, PrepareContext context)
    {
        var ledger = context.Ledger;
        var (before, after) = (Tokens(answers), Tokens(cut));
        ledger.TokensCut += before - after;
        if (after < before) ledger.RowsTruncated++;
        if (!trainable)
        {
            ledger.RowsWithoutTrainedToken++;
            ledger.TokensRefused += after;
            return;
        }
        ledger.TokensKept += after;
        ledger.TokensTrained += cut.Sum(a => a.Completion.Length - (a.Prompt.Length == 0 ? 1 : 0));
        ledger.AnswersWithTrainedEnd += cut.Count(a => a.Completion[^1] == context.Tokenizer?.SpecialTokens.Eos);
    }

    // A prompt counts with each of its answers, as TRL's num_tokens does.
    private static long Tokens(IReadOnlyList<AnswerTokens> answers) => answers.Sum(a => (long)a.Prompt.Length + a.Completion.Length);
}
