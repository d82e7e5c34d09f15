// Runs of words as lm-evaluation-harness's decontamination makes them (GPT-3, appendix C, with a run of 13): A to Z small, ASCII punctuation
// left out, words between white space.

using System.Text;

namespace PeftAlign.Host.Auditing;

internal static class WordRuns
{
    /// <summary>All runs of a text, each with one space between two words; none where the text has fewer words.</summary>
    /// <param name="text">The text.</param>
    /// <param name="words">Words of a run.</param>
    internal static IEnumerable<ReadOnlyMemory<char>> Of(string text, int words)
    {
        var (plain, starts) = Plain(text);
        for (var k = 0; k + words <= starts.Count; k++)
        {
            var end = k + words < starts.Count ? starts[k + words] - 1 : plain.Length;
            yield return plain.AsMemory(starts[k], end - starts[k]);
        }
    }

    // The words, and where each begins.
    private static (string Text, List<int> Starts) Plain(string text)
    {
        var (plain, starts, isInside) = (new StringBuilder(text.Length), new List<int>(), false);
        foreach (var c in text)
        {
            if (char.IsAscii(c) && (char.IsPunctuation(c) || char.IsSymbol(c))) continue; // a word goes on behind it
            if (PythonWhiteSpace.Is(c))
            {
                isInside = false;
                continue;
            }
            if (!isInside)
            {
                if (plain.Length > 0) plain.Append(' ');
                starts.Add(plain.Length);
                isInside = true;
            }
            plain.Append(char.IsAsciiLetterUpper(c) ? (char)(c | ' ') : c);
        }
        return (plain.ToString(), starts);
    }
}

/// <summary>Compares runs by their characters.</summary>
internal sealed class RunComparer : IEqualityComparer<ReadOnlyMemory<char>>
{
    internal static RunComparer Instance { get; } = new();

    public bool Equals(ReadOnlyMemory<char> x, ReadOnlyMemory<char> y) => x.Span.SequenceEqual(y.Span);

    public int GetHashCode(ReadOnlyMemory<char> run) => string.GetHashCode(run.Span);
}
