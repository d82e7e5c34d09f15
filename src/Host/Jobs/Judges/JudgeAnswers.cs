// Checks what a judge answered: one answer for each question, of the question's kind or with the reason why there is none.

using PeftAlign.Abstractions;

namespace PeftAlign.Host.Jobs;

internal static class JudgeAnswers
{
    /// <summary>The answers, if they are a judge's.</summary>
    /// <param name="judge">Whose they are.</param>
    /// <param name="asked">The questions.</param>
    /// <param name="answers">What it gave.</param>
    /// <exception cref="BrokenContractException">There are fewer or more than questions, one is null, or one has no sane number.</exception>
    internal static IReadOnlyList<JudgeAnswer> Checked(IJudge judge, IReadOnlyList<JudgeQuestion> asked, IReadOnlyList<JudgeAnswer>? answers)
    {
        var given = BrokenContractException.Whole(judge, nameof(IJudge.Answer), answers);
        if (given.Count != asked.Count) throw new BrokenContractException(judge, $"Answer gave {given.Count} answers to {asked.Count} questions", "every question needs one, in their order");
        for (var k = 0; k < given.Count; k++)
            if (given[k].Failure is null && !given[k].Unanswered && Lack(asked[k], given[k]) is { } lack)
                throw new BrokenContractException(judge, $"Answer gave {lack} to question {k + 1} of {given.Count}, which asks to {asked[k].GetType().Name.ToLowerInvariant()}", "a rating has scores, a comparison a preference from 0 to 1, a question in words a text, and what cannot be decided a failure with its reason");
        return given;
    }

    private static string? Lack(JudgeQuestion question, JudgeAnswer answer) => question switch
    {
        JudgeQuestion.Rate => answer.Scores is not { Count: > 0 } scores ? "no score" : scores.Any(double.IsNaN) ? "the score NaN" : null,
        JudgeQuestion.Compare => answer.Preference is not { } preference ? "no preference" : preference is >= 0 and <= 1 ? null : FormattableString.Invariant($"the preference {preference}"),
        _ => answer.Text is null ? "no text" : null,
    };
}
