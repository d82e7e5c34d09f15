// One sequence while it grows.

using System.Runtime.InteropServices;
using PeftAlign.Abstractions;

namespace PeftAlign.Models.Generation;

/// <summary>A prompt with the tokens made so far.</summary>
internal sealed class Continuation
{
    private readonly List<int> ids;
    private readonly int promptLength;

    internal Continuation(int prompt, int sample, IReadOnlyList<int> promptIds)
    {
        (Prompt, Sample, promptLength) = (prompt, sample, promptIds.Count);
        ids = [.. promptIds];
    }

    private Continuation(Continuation parent)
    {
        (Prompt, Sample, promptLength) = (parent.Prompt, parent.Sample, parent.promptLength);
        ids = [.. parent.ids];
    }

    /// <summary>Place of the prompt in its batch.</summary>
    internal int Prompt { get; }

    /// <summary>Number of the sample.</summary>
    internal int Sample { get; }

    /// <summary>Prompt and new tokens.</summary>
    internal ReadOnlySpan<int> Past => CollectionsMarshal.AsSpan(ids);

    /// <summary>Number of new tokens.</summary>
    internal int Made => ids.Count - promptLength;

    internal int LastToken => ids[^1];

    internal int[] NewIds => Past[promptLength..].ToArray();

    internal void Add(int token) => ids.Add(token);

    /// <summary>A copy that is one token longer.</summary>
    internal Continuation With(int token)
    {
        var longer = new Continuation(this);
        longer.Add(token);
        return longer;
    }
}

/// <summary>What ends a continuation.</summary>
/// <param name="options">Limits, end tokens.</param>
/// <param name="stops">Stop strings; null for none.</param>
internal sealed class Endings(GenerationOptions options, StopStrings? stops)
{
    /// <summary>Why this continuation ends with its last token; null where it goes on.</summary>
    internal FinishReason? Of(Continuation continuation)
    {
        if (options.EosTokenIds.Contains(continuation.LastToken)) return FinishReason.Eos;
        if (stops is not null && stops.EndsWith(options.StopStringsInPrompt ? continuation.Past : continuation.Past[^continuation.Made..])) return FinishReason.Stop;
        return continuation.Made >= options.MaxNewTokens || continuation.Past.Length >= options.MaxLength ? FinishReason.Length : null;
    }
}
