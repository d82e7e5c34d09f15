// A judge: a reward model, a toxicity classifier, a language model, a service. It rates one answer, compares two, or replies in
// words. A question that it cannot decide (a refusal, a reply without a verdict) is a failure with a reason; benchmarks count these.

using System.Text.Json.Nodes;

namespace PeftAlign.Abstractions;

/// <summary>A judge of answers.</summary>
public interface IJudge
{
    /// <summary>Who judges, and what it can do; part of every result.</summary>
    JudgeInfo Info { get; }

    /// <summary>Answers questions, in their order; no answer depends on the other questions.</summary>
    /// <param name="questions">Of the kinds in <see cref="JudgeInfo.Skills"/>.</param>
    /// <param name="cancel">Ends the work; what a service has answered by then stays in its cache.</param>
    /// <exception cref="UserErrorException">The judge cannot answer this kind of question, or cannot be asked at all.</exception>
    IReadOnlyList<JudgeAnswer> Answer(IReadOnlyList<JudgeQuestion> questions, CancellationToken cancel = default);
}

/// <summary>Kinds of question.</summary>
[Flags]
public enum JudgeSkills
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary><see cref="JudgeQuestion.Rate"/>.</summary>
    Rate = 1,

    /// <summary><see cref="JudgeQuestion.Compare"/>.</summary>
    Compare = 2,

    /// <summary><see cref="JudgeQuestion.Ask"/>.</summary>
    Ask = 4,
}

/// <summary>Who judges.</summary>
/// <param name="Annotator">Its name in tables: a model's folder or a service's model.</param>
/// <param name="Skills">What it can be asked.</param>
public sealed record JudgeInfo(string Annotator, JudgeSkills Skills)
{
    /// <summary>False where a larger rating is worse.</summary>
    public bool HigherIsBetter { get; init; } = true;

    /// <summary>The folder where it keeps questions and replies; null where it keeps none.</summary>
    public string? Transcript { get; init; }

    /// <summary>Whether it answers from the transcript alone: a question that is not in there stays open however often it is asked.</summary>
    public bool Offline { get; init; }
}

/// <summary>Something asked of a judge.</summary>
public abstract record JudgeQuestion
{
    /// <summary>How good, or how toxic, an answer is; the answer has scores.</summary>
    /// <param name="Prompt">What was asked; null where the text stands alone.</param>
    /// <param name="Response">The text to rate.</param>
    public sealed record Rate(string? Prompt, string Response) : JudgeQuestion;

    /// <summary>Which of two answers is better; the answer has a preference. Ask in both orders to cancel a position bias.</summary>
    /// <param name="Prompt">What was asked.</param>
    /// <param name="First">The answer that the judge sees first.</param>
    /// <param name="Second">The other one.</param>
    public sealed record Compare(string Prompt, string First, string Second) : JudgeQuestion;

    /// <summary>A question in words; the answer has a text.</summary>
    /// <param name="Prompt">All that the judge reads.</param>
    public sealed record Ask(string Prompt) : JudgeQuestion;
}

/// <summary>A judge's answer; what does not belong to the question is null.</summary>
public sealed record JudgeAnswer
{
    /// <summary>Raw scores, one per label.</summary>
    public IReadOnlyList<double>? Scores { get; init; }

    /// <summary>In a comparison, how strongly the first answer is preferred: 1 = the first, 0 = the second, 1/2 = a tie.</summary>
    public double? Preference { get; init; }

    /// <summary>What it said.</summary>
    public string? Text { get; init; }

    /// <summary>Why there is no answer; null where there is one. Rows with a failure are counted and left out of means.</summary>
    public string? Failure { get; init; }

    /// <summary>True where nobody answered because a service was not available: the same evaluation asks again when it is repeated. A refusal, or a
    /// reply that cannot be read, counts as an answer.</summary>
    public bool Unanswered { get; init; }

    /// <summary>A failure.</summary>
    /// <param name="reason">Why there is no answer.</param>
    /// <param name="text">What the judge said instead.</param>
    public static JudgeAnswer Failed(string reason, string? text = null) => new() { Failure = reason, Text = text };
}

/// <summary>Optional for a judge: it counts what its answers cost.</summary>
public interface ICountsCost
{
    /// <summary>The cost since the judge was made.</summary>
    JudgeCost Cost { get; }
}

/// <summary>What judging took.</summary>
/// <param name="Requests">Questions sent to the service.</param>
/// <param name="FromCache">Questions answered from the cache.</param>
/// <param name="Retries">Requests repeated after an error.</param>
/// <param name="Failures">Questions without an answer.</param>
/// <param name="PromptTokens">Tokens of the questions, as the service counts them.</param>
/// <param name="CompletionTokens">Tokens of the replies, as the service counts them.</param>
/// <param name="Price">In the currency of the judge's price options; 0 without prices.</param>
public sealed record JudgeCost(long Requests, long FromCache, long Retries, long Failures, long PromptTokens, long CompletionTokens, double Price);

/// <summary>An option that names a judge of the manifest; the host opens it through <see cref="IJudges"/>.</summary>
/// <param name="Definition">The judge, resolved: its type's name with options, and the model that the run made for it, if any.</param>
public sealed record JudgeReference(JsonObject Definition)
{
    /// <summary>The traits that the judge's plugin declares (<see cref="JudgeTraits"/>), known before the judge is opened.</summary>
    public IReadOnlyList<string> Traits { get; init; } = [];
}

/// <summary>Traits that say which judges fit which benchmarks, declared on their options classes (<see cref="ContractTraitsAttribute"/>).</summary>
public static class JudgeTraits
{
    /// <summary>A judge that is a language model: it is asked in words, and its ratings are grades from 1 to 9 rather than logits.</summary>
    public const string Speaks = "speaks";

    /// <summary>A benchmark that reads its judge's ratings as logits, so that a judge that <see cref="Speaks"/> is refused before anything starts.</summary>
    public const string NeedsLogits = "needs-logits";
}

/// <summary>Opens judges that options name; offered to a plugin's instance through GetService.</summary>
public interface IJudges
{
    /// <summary>The judge, loaded at the first question; equal definitions give the same judge.</summary>
    /// <param name="judge">From the plugin's options.</param>
    IJudge Open(JudgeReference judge);
}
