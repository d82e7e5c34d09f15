// Two answers to one prompt before a judge: the questions in one order or both, and the preference that follows. AlpacaEval's numbers:
// output_1 is the baseline's, output_2 the model's; a preference is 1 where the baseline is better, 2 where the model is, 1.5 a draw.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;

namespace PeftAlign.Eval.Comparisons;

internal static class Pair
{
    /// <summary>An item's document; output_2 only where the answer is at hand already.</summary>
    internal static JsonObject Document(string instruction, string dataset, string baseline, string generator, string? answer = null, string? answerer = null, double difficulty = double.NaN)
    {
        var document = new JsonObject { ["instruction"] = instruction };
        if (dataset.Length > 0) document["dataset"] = dataset;
        (document["output_1"], document["generator_1"]) = (baseline, generator);
        if (answer is not null) (document["output_2"], document["generator_2"]) = (answer, answerer);
        if (!double.IsNaN(difficulty)) document["instruction_difficulty"] = difficulty;
        return document;
    }

    /// <summary>What the judge is asked: both orders, or the one in which the baseline stands first or last.</summary>
    internal static IReadOnlyList<EvalRequest> Questions(JudgeReference judge, string order, EvalItem item, string answer)
    {
        var (prompt, baseline) = ((string)item.Document["instruction"]!, (string)item.Document["output_1"]!);
        EvalRequest first = new EvalRequest.Judge(judge, new JudgeQuestion.Compare(prompt, baseline, answer)), last = new EvalRequest.Judge(judge, new JudgeQuestion.Compare(prompt, answer, baseline));
        return order switch { "both" => [first, last], "baseline_first" => [first], _ => [last] };
    }

    /// <summary>The judged pair as an item's scores. A pair of which an order failed has no preference.</summary>
    /// <param name="item">The item.</param>
    /// <param name="answer">What the model wrote.</param>
    /// <param name="tokens">How many tokens it wrote; null where that is not known.</param>
    /// <param name="order">See Questions.</param>
    /// <param name="judged">The judge's answers, in the order of Questions.</param>
    internal static ItemScore Score(EvalItem item, string answer, int? tokens, string order, IReadOnlyList<JudgeAnswer> judged)
    {
        // Each as a share for the model: the question that puts the baseline first prefers it with what is left.
        var shares = judged.Select((j, k) => j.Failure is not null || j.Preference is not { } p ? double.NaN : order is "model_first" || k == 1 ? p : 1 - p).ToArray();
        var score = Score(item, shares.Average() + 1, (string)item.Document["output_1"]!, answer, judged.Select(j => j.Failure).FirstOrDefault(f => f is not null) ?? "the judge gave no preference");
        var scores = new Dictionary<string, double>(score.Scores);
        if (order == "both" && !double.IsNaN(shares.Sum())) (scores["share_when_last"], scores["share_when_first"]) = (shares[0], shares[1]);
        if (Margin(order, judged) is { } margin) scores["margin"] = margin;
        if (tokens is { } count) scores["new_tokens"] = count;
        return score with { Scores = scores, Answer = answer };
    }

    /// <summary>A pair whose preference is given.</summary>
    internal static ItemScore Score(EvalItem item, double preference, string baseline, string answer, string failure) => Score(item, preference, Length(baseline), Length(answer), failure);

    /// <summary>A pair whose preference and lengths are given.</summary>
    internal static ItemScore Score(EvalItem item, double preference, double baselineLength, double length, string failure)
    {
        var scores = new Dictionary<string, double> { ["failed"] = Share(preference) is null ? 1 : 0, ["len_output_1"] = baselineLength, ["len_output_2"] = length };
        if (Share(preference) is { } share) scores["win_rate"] = 100 * share;
        if (!double.IsNaN(preference)) scores["preference"] = preference; // also one that is out of range: the discrete rate rounds before it drops
        if (item.Document["instruction_difficulty"] is JsonValue difficulty) scores["instruction_difficulty"] = (double)difficulty;
        var details = new JsonObject { ["generators"] = new JsonArray((string?)item.Document["generator_1"], (string?)item.Document["generator_2"]) };
        if (Share(preference) is null) details["failure"] = failure;
        return new ItemScore(item.Id, scores) { Task = item.Task, Details = details };
    }

    /// <summary>Length in characters as the length-controlled rate counts them: code points.</summary>
    internal static int Length(string text) => text.EnumerateRunes().Count();

    /// <summary>Whether a number is a verdict: from 1 (the baseline is better) to 2, or 0, the old code of a draw.</summary>
    internal static bool IsPreference(double preference) => Share(preference) is not null;

    // 0 is the old code of a draw; what is outside [1, 2] is none.
    private static double? Share(double preference) => preference == 0 ? 0.5 : preference is >= 1 and <= 2 ? preference - 1 : null;

    // By how much a rating judge rates the model higher; the same in both orders for a judge that rates each answer alone.
    private static double? Margin(string order, IReadOnlyList<JudgeAnswer> judged)
    {
        var margins = judged.Select((j, k) => j.Scores is [var first, var second] ? (order is "model_first" || k == 1 ? first - second : second - first) : (double?)null).ToList();
        return margins.Contains(null) ? null : margins.Average();
    }
}
