// How answers of BIG-Bench Hard are read. official: the text after the last "answer is"; lm_eval: lm-evaluation-harness's stops and
// regular expression, with its known faults (a capital Q ends an answer, the last character before the line's end is lost, direct
// answers are not stripped); strip: direct answers without the blanks around them.

using PeftAlign.Core.Metrics;

namespace PeftAlign.Eval.Benchmarks;

internal static class BbhScoring
{
    private static readonly string[] Stops = ["</s>", "Q", "\n\n"];

    /// <summary>Names of the ways, the main one first.</summary>
    internal static IReadOnlyList<string> Ways(bool reasoning) => reasoning ? ["official", "lm_eval"] : ["official", "strip", "lm_eval"];

    /// <summary>The answer in a reply.</summary>
    internal static string Answer(string way, bool reasoning, string reply) => (way, reasoning) switch
    {
        ("official", _) => AnswerExtraction.BigBenchHard(reply),
        ("strip", _) => reply.Trim(),
        (_, true) => AnswerExtraction.RegexFilter(Cut(reply), "(?<=the answer is )(.*)(?=.)", 0, "[invalid]"),
        _ => Cut(reply),
    };

    /// <summary>Whether a reply answers the question.</summary>
    internal static bool IsRight(string way, bool reasoning, string reply, string target) => Answer(way, reasoning, reply) == target;

    private static string Cut(string reply)
    {
        foreach (var stop in Stops)
            if (reply.IndexOf(stop, StringComparison.Ordinal) is >= 0 and var at) reply = reply[..at];
        return reply;
    }
}
