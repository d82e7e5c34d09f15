// A sonnet made worse behind its given lines, in one of four ways drawn at random: its lines in another order, the last words of its
// lines exchanged so that rhymes break, its first eight lines over and over, or 15 % of its words replaced by frequent ones.

using System.Text.RegularExpressions;
using PeftAlign.Abstractions;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Data.Sonnets;

internal static partial class Corruption
{
    private const int Ways = 4, LinesKept = 8, FrequentWords = 20, Attempts = 100;
    private const double WordsReplaced = 0.15;

    /// <summary>The most frequent words of a text.</summary>
    internal static IReadOnlyList<string> Frequent(IEnumerable<string> lines) =>
        [.. lines.SelectMany(line => Word().Matches(line)).Select(m => m.Value.ToLowerInvariant()).GroupBy(w => w).OrderByDescending(g => g.Count()).ThenBy(g => g.Key, StringComparer.Ordinal).Take(FrequentWords).Select(g => g.Key)];

    /// <summary>The lines with those behind the given ones corrupted; never the same ones.</summary>
    /// <param name="lines">All lines.</param>
    /// <param name="given">How many stay.</param>
    /// <param name="frequent">Words that replace others.</param>
    /// <param name="stream">Random numbers.</param>
    internal static IReadOnlyList<string> Of(IReadOnlyList<string> lines, int given, IReadOnlyList<string> frequent, CounterStream stream)
    {
        string[] tail = [.. lines.Skip(given)];
        var first = (int)stream.NextInt64(Ways);
        for (var attempt = 0; attempt < Ways * Attempts; attempt++)
        {
            var made = ((first + attempt) % Ways) switch
            {
                0 => [.. stream.Permutation(tail.Length).Select(k => tail[k])],
                1 => LastWords(tail, stream),
                2 => [.. Enumerable.Range(0, tail.Length).Select(k => tail[k % Math.Max(1, Math.Min(tail.Length, LinesKept - given))])],
                _ => Replaced(tail, frequent, stream),
            };
            if (!made.SequenceEqual(tail)) return [.. lines.Take(given), .. made];
        }
        throw new UserErrorException($"The sonnet that begins '{lines[0]}' has too little behind its {given} given lines to be corrupted; lower 'lines', or mend the file.");
    }

    private static string[] LastWords(string[] tail, CounterStream stream)
    {
        var order = stream.Permutation(tail.Length);
        var words = tail.Select(line => Word().Matches(line) is [.., var last] ? last : null).ToArray();
        return [.. tail.Select((line, k) => words[k] is { } own && words[order[k]] is { } other ? line[..own.Index] + other.Value + line[(own.Index + own.Length)..] : line)];
    }

    private static string[] Replaced(string[] tail, IReadOnlyList<string> frequent, CounterStream stream) =>
        [.. tail.Select(line => Word().Replace(line, word => stream.NextDouble() < WordsReplaced ? frequent[(int)stream.NextInt64(frequent.Count)] : word.Value))];

    [GeneratedRegex(@"[A-Za-z](?:[A-Za-z'-]*[A-Za-z])?", RegexOptions.CultureInvariant)]
    private static partial Regex Word();
}
