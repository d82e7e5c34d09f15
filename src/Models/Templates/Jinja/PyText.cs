// Python's strings over .NET's: positions, lengths and order count code points, not UTF-16 units; whitespace is
// what str.isspace calls so. A lone surrogate counts as one code point.
using System.Text;

namespace PeftAlign.Models.Templates.Jinja;

internal static class PyText
{
    private static readonly string[] Ascii = [.. Enumerable.Range(0, 128).Select(code => ((char)code).ToString())];

    public static bool IsSpace(char c) => c switch
    {
        <= ' ' => c is >= '\t' and <= '\r' or >= '\x1c' and <= ' ',
        '\x85' or '\xa0' or '\u1680' or '\u2028' or '\u2029' or '\u202f' or '\u205f' or '\u3000' => true,
        _ => c is >= '\u2000' and <= '\u200a',
    };

    public static bool IsSpace(ReadOnlySpan<char> text)
    {
        foreach (char c in text)
            if (!IsSpace(c)) return false;
        return true;
    }

    public static string Trim(string text) => TrimStart(TrimEnd(text));

    public static string TrimStart(string text)
    {
        int start = 0;
        while (start < text.Length && IsSpace(text[start])) start++;
        return text[start..];
    }

    public static string TrimEnd(string text)
    {
        int end = text.Length;
        while (end > 0 && IsSpace(text[end - 1])) end--;
        return text[..end];
    }

    /// <summary>Strips any of the given characters; null: whitespace.</summary>
    public static string Strip(string text, string? characters, bool left, bool right)
    {
        if (characters is null) return left && right ? Trim(text) : left ? TrimStart(text) : TrimEnd(text);
        HashSet<int> set = [.. CodePoints(characters)];
        int start = 0, end = text.Length;
        while (left && start < end && set.Contains(CodePointAt(text, start))) start += Width(text, start);
        while (right && end > start)
        {
            int last = end - 1 > start && char.IsSurrogatePair(text[end - 2], text[end - 1]) ? end - 2 : end - 1;
            if (!set.Contains(CodePointAt(text, last))) break;
            end = last;
        }

        return text[start..end];
    }

    public static bool IsNameStart(string text, int i) => text[i] == '_' || Rune.IsLetter(RuneAt(text, i))
        || Rune.GetUnicodeCategory(RuneAt(text, i)) == System.Globalization.UnicodeCategory.LetterNumber;

    public static bool IsNamePart(string text, int i) => IsNameStart(text, i)
        || Rune.GetUnicodeCategory(RuneAt(text, i)) is System.Globalization.UnicodeCategory.DecimalDigitNumber
            or System.Globalization.UnicodeCategory.NonSpacingMark or System.Globalization.UnicodeCategory.SpacingCombiningMark
            or System.Globalization.UnicodeCategory.ConnectorPunctuation;

    /// <summary>The code point at a UTF-16 position; a lone surrogate is itself.</summary>
    public static int CodePointAt(string text, int i) =>
        Width(text, i) == 2 ? char.ConvertToUtf32(text[i], text[i + 1]) : text[i];

    /// <summary>A string of one code point.</summary>
    public static string One(int code) =>
        code < Ascii.Length ? Ascii[code] : code <= char.MaxValue ? ((char)code).ToString() : char.ConvertFromUtf32(code);

    public static int Width(string text, int i) =>
        i + 1 < text.Length && char.IsSurrogatePair(text[i], text[i + 1]) ? 2 : 1;

    private static Rune RuneAt(string text, int i) => Rune.TryGetRuneAt(text, i, out Rune rune) ? rune : Rune.ReplacementChar;

    public static IEnumerable<int> CodePoints(string text)
    {
        for (int i = 0; i < text.Length; i += Width(text, i)) yield return CodePointAt(text, i);
    }

    /// <summary>len(text).</summary>
    public static int Length(string text) => Length(text.AsSpan());

    public static int Length(ReadOnlySpan<char> text)
    {
        if (!text.ContainsAnyInRange('\ud800', '\udbff')) return text.Length;
        int count = text.Length;
        for (int i = 1; i < text.Length; i++)
            if (char.IsSurrogatePair(text[i - 1], text[i])) count--;
        return count;
    }

    /// <summary>The UTF-16 position of a code point.</summary>
    public static int Position(string text, int codePoint)
    {
        if (!text.AsSpan().ContainsAnyInRange('\ud800', '\udbff')) return codePoint;
        int i = 0;
        for (; codePoint > 0; codePoint--) i += Width(text, i);
        return i;
    }

    /// <summary>The code points as strings of one, which is what a loop over a string sees.</summary>
    public static IEnumerable<object?> Characters(string text)
    {
        for (int i = 0; i < text.Length;)
        {
            int width = Width(text, i);
            yield return width == 1 ? One(text[i]) : text.Substring(i, width);
            i += width;
        }
    }

    /// <summary>Order of strings in Python: by code point. .NET's ordinal order puts surrogates before U+E000.</summary>
    public static int Compare(string a, string b)
    {
        Meter.Current.Step(1 + (Math.Min(a.Length, b.Length) >> 5));
        int i = a.AsSpan().CommonPrefixLength(b);
        if (i == a.Length || i == b.Length) return a.Length.CompareTo(b.Length);
        (bool left, bool right) = (char.IsSurrogate(a[i]), char.IsSurrogate(b[i]));
        return left == right ? a[i].CompareTo(b[i]) : left ? 1 : -1;
    }

    /// <summary>Charges one pass over a text.</summary>
    public static void Scan(string text) => Meter.Current.Step(1 + (text.Length >> 4));

    /// <summary>The UTF-16 position of the first occurrence from a position on, or -1; linear in the text.</summary>
    public static int Find(string text, string what, int from)
    {
        const int shortEnough = 32;
        Meter.Current.Step(1);
        if (from > text.Length) return -1;
        if (what.Length <= shortEnough) return text.IndexOf(what, from, StringComparison.Ordinal);
        int[] border = Borders(what);
        for (int i = from, matched = 0; i < text.Length; i++)
        {
            while (matched > 0 && text[i] != what[matched]) matched = border[matched - 1];
            if (text[i] == what[matched]) matched++;
            if (matched == what.Length) return i - matched + 1;
        }

        return -1;
    }

    /// <summary>For each prefix, the longest proper prefix that is also its suffix (Knuth, Morris, Pratt).</summary>
    private static int[] Borders(string what)
    {
        int[] border = new int[what.Length];
        for (int i = 1, k = 0; i < what.Length; i++)
        {
            while (k > 0 && what[i] != what[k]) k = border[k - 1];
            if (what[i] == what[k]) k++;
            border[i] = k;
        }

        return border;
    }
}
