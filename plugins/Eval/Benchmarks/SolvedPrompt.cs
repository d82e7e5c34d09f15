// A question after its description and solved examples: one text, or, as lm-evaluation-harness makes it, a conversation in which the
// description is the system's and the examples' answers are the assistant's.

using PeftAlign.Abstractions;

namespace PeftAlign.Eval.Benchmarks;

/// <param name="Description">What stands in front of everything; may be empty.</param>
/// <param name="Solved">The solved examples; an answer may be empty.</param>
internal sealed record SolvedPrompt(string Description, IReadOnlyList<(string Question, string Answer)> Solved)
{
    /// <summary>Between an example's question and its answer, where both stand in one text.</summary>
    internal string TargetDelimiter { get; init; } = " ";

    /// <summary>After an example with an answer, in one text.</summary>
    internal string ExampleDelimiter { get; init; } = "\n\n";

    private string Before => string.Concat(Solved.Select(s => s.Question + (s.Answer.Length > 0 ? TargetDelimiter + s.Answer + ExampleDelimiter : "")));

    /// <summary>Refuses fewshot_as_multiturn: true without a conversation; false has no effect there, and the harness accepts it.</summary>
    /// <param name="chat">Whether prompts are conversations.</param>
    /// <param name="multiturn">fewshot_as_multiturn; null where it is not given.</param>
    /// <exception cref="UserErrorException">It is true, and prompts are no conversations.</exception>
    internal static void ThrowIfUnused(bool chat, bool? multiturn)
    {
        if (multiturn == true && !chat) throw new UserErrorException("fewshot_as_multiturn: true needs chat: true; add it or leave this out.");
    }

    /// <summary>All as one text.</summary>
    internal string Text(string question) => Description + Before + question;

    /// <summary>All as a conversation.</summary>
    /// <param name="question">The question.</param>
    /// <param name="multiturn">Whether examples are turns of their own; else they stand in the user's one message.</param>
    internal IReadOnlyList<ChatTurn> Messages(string question, bool multiturn)
    {
        ChatTurn[] system = Description.Length > 0 ? [new("system", Description)] : [];
        return multiturn ? [.. system, .. Solved.SelectMany(Turns), new("user", question)] : [.. system, new("user", Before + question)];
    }

    private static ChatTurn[] Turns((string Question, string Answer) solved) =>
        solved.Answer.Length > 0 ? [new("user", solved.Question), new("assistant", solved.Answer)] : [new("user", solved.Question)];
}
