// How much of an English sonnet's form a text has: 14 lines, and the rhymes ABAB CDCD EFEF GG. Rhymes are told by spelling: two
// different words whose ends are alike from the last vowels on, a silent e left out. That misses eye-unlike rhymes and finds a few that
// are none; it is a measure for ranking, no claim about sound.

namespace PeftAlign.Data.Sonnets;

internal static class Verse
{
    private const double Points = 5;
    private const int Lines = 14;
    private static readonly (int First, int Second)[] Rhymes = [(0, 2), (1, 3), (4, 6), (5, 7), (8, 10), (9, 11), (12, 13)];

    /// <summary>5 for 14 lines, and 5 times the share of the seven rhymes.</summary>
    internal static double Form(string sonnet)
    {
        string[] lines = [.. sonnet.Split('\n').Where(line => line.Trim().Length > 0)];
        var rhymes = Rhymes.Count(pair => pair.Second < lines.Length && Rhyme(lines[pair.First], lines[pair.Second]));
        return (lines.Length == Lines ? Points : 0) + Points * rhymes / Rhymes.Length;
    }

    internal static bool Rhyme(string a, string b)
    {
        var (first, second) = (LastWord(a), LastWord(b));
        return first.Length > 0 && first != second && Ending(first) is { Length: > 1 } ending && ending == Ending(second);
    }

    private static string LastWord(string line)
    {
        var letters = line.ToLowerInvariant().TrimEnd([.. line.ToLowerInvariant().Where(c => !char.IsAsciiLetter(c))]);
        var from = letters.Length;
        while (from > 0 && (char.IsAsciiLetter(letters[from - 1]) || letters[from - 1] == '\'')) from--;
        return letters[from..];
    }

    // From the last vowels on: "increase" and "decease" both give "eas".
    private static string Ending(string word)
    {
        var plain = word.Length > 3 && word[^1] == 'e' && !IsVowel(word[^2]) ? word[..^1] : word;
        var at = plain.Length - 1;
        while (at >= 0 && !IsVowel(plain[at])) at--;
        while (at > 0 && IsVowel(plain[at - 1])) at--;
        return at < 0 ? "" : plain[at..];
    }

    private static bool IsVowel(char c) => c is 'a' or 'e' or 'i' or 'o' or 'u' or 'y';
}
