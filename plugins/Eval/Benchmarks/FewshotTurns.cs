// Whether solved examples are turns of a conversation, which only a conversation can tell.

using PeftAlign.Abstractions;

namespace PeftAlign.Eval.Benchmarks;

internal static class FewshotTurns
{
    /// <summary>Refuses a wish that would change nothing.</summary>
    /// <param name="chat">Whether prompts are conversations.</param>
    /// <param name="asked">fewshot_as_multiturn; null where it is not given.</param>
    /// <exception cref="UserErrorException">It is given, and prompts are none.</exception>
    internal static void ThrowIfUnused(bool chat, bool? asked)
    {
        if (asked is { } turns && !chat) throw new UserErrorException($"fewshot_as_multiturn: {(turns ? "true" : "false")} needs chat: true; add it or leave this out.");
    }
}
