// A judge for rows that are made once. Readers leave out rows without a verdict, so a service that was not available for a while would make
// the data set shorter for good. With this judge a question that nobody answers ends the job, and the next run asks the open questions.

using PeftAlign.Abstractions;

namespace PeftAlign.Host.Jobs;

/// <summary>Nobody answered some of a judge's questions: no mistake of the user's, and the same command may do better.</summary>
internal sealed class JudgeAwayException(string message) : Exception(message);

internal sealed class InsistentJudge(IJudge judge, CancellationToken stop) : IJudge
{
    /// <summary>Answers without a verdict that stayed: refusals, and replies that could not be read.</summary>
    internal long Failures { get; private set; }

    public JudgeInfo Info => judge.Info;

    /// <exception cref="JudgeAwayException">A question was not answered.</exception>
    /// <exception cref="UserErrorException">A question was not answered, and an offline judge never will.</exception>
    public IReadOnlyList<JudgeAnswer> Answer(IReadOnlyList<JudgeQuestion> questions, CancellationToken cancel = default)
    {
        using var either = CancellationTokenSource.CreateLinkedTokenSource(stop, cancel);
        var answers = judge.Answer(questions, either.Token);
        var open = answers.Where(answer => answer.Unanswered).ToList();
        Failures += answers.Count(answer => answer.Failure is not null && !answer.Unanswered);
        if (open.Count == 0) return answers;
        var lacking = $"the judge {Info.Annotator} left {open.Count} of {questions.Count} questions unanswered ({open[0].Failure}), and a data set is not made without their rows; ";
        if (Info.Offline) throw new UserErrorException($"{lacking}turn offline off, or give the transcript that holds the answers (it read {Info.Transcript}).");
        throw new JudgeAwayException(lacking
            + $"{(Info.Transcript is { } kept ? $"its answers are kept in {kept}, and the same command asks the rest" : "the same command asks again")} once the judge answers");
    }
}
