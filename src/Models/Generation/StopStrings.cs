// Finds stop strings in the text as tokens come: a continuation ends with the token that completes one, wherever in that
// token it ends; it may begin in the prompt. Special tokens count by their text.

using System.Text;
using PeftAlign.Abstractions;

namespace PeftAlign.Models.Generation;

/// <summary>The stop strings of a run.</summary>
internal sealed class StopStrings
{
    // A token before the match, so that what a decoder does to the first token of a text does not touch it.
    private const int Margin = 4;

    private readonly ITokenizer tokenizer;
    private readonly IReadOnlyList<string> texts;
    private readonly int window;

    internal StopStrings(ITokenizer tokenizer, IReadOnlyList<string> texts)
    {
        (this.tokenizer, this.texts) = (tokenizer, texts);
        // A token has at least one byte; those without text (control tokens) are rare enough for the margin.
        window = texts.Max(t => Encoding.UTF8.GetByteCount(t)) + Margin;
    }

    /// <summary>Whether the last token completes a stop string.</summary>
    /// <param name="past">Prompt and new tokens.</param>
    internal bool EndsWith(ReadOnlySpan<int> past)
    {
        var tail = past[Math.Max(0, past.Length - window)..].ToArray();
        var before = tokenizer.Decode(tail.Take(tail.Length - 1));
        var text = tokenizer.Decode(tail);
        var old = text.AsSpan().CommonPrefixLength(before);
        foreach (var stop in texts)
        {
            // The first place where a match ends behind the old text.
            var first = Math.Max(0, old - stop.Length + 1);
            if (first <= text.Length && text.AsSpan(first).Contains(stop, StringComparison.Ordinal)) return true;
        }
        return false;
    }
}
