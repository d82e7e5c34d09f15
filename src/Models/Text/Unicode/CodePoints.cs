// Code points of UTF-16 text. Text inside this folder is well-formed: WellFormed replaces lone surrogates on the way in.
namespace PeftAlign.Models.Text.Unicode;

/// <summary>Reads code points and converts offsets between UTF-16 units and code points.</summary>
internal static class CodePoints
{
    /// <summary>The code point at <paramref name="position"/>, which moves behind it.</summary>
    public static int Next(ReadOnlySpan<char> text, ref int position)
    {
        var c = text[position++];
        if (!char.IsHighSurrogate(c) || position >= text.Length) return c;
        return char.ConvertToUtf32(c, text[position++]);
    }

    /// <summary>The code point that ends before <paramref name="position"/>.</summary>
    public static int Before(ReadOnlySpan<char> text, int position)
    {
        var c = text[position - 1];
        return char.IsLowSurrogate(c) && position >= 2 && char.IsHighSurrogate(text[position - 2])
            ? char.ConvertToUtf32(text[position - 2], c)
            : c;
    }

    /// <summary>Units of a code point in UTF-16.</summary>
    public static int Units(int point) => point >= 0x10000 ? 2 : 1;

    /// <summary>Bytes of a code point in UTF-8.</summary>
    public static int Utf8Length(int point) => point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;

    /// <summary>Number of code points.</summary>
    public static int Count(ReadOnlySpan<char> text)
    {
        var count = text.Length;
        foreach (var c in text)
            if (char.IsLowSurrogate(c)) count--;
        return count;
    }

    /// <summary>The text with U+FFFD for every surrogate that has no partner; the same object where there is none.</summary>
    public static string WellFormed(string text)
    {
        if (!text.AsSpan().ContainsAnyInRange('\uD800', '\uDFFF')) return text;
        var chars = text.ToCharArray();
        var changed = false;
        for (var i = 0; i < chars.Length; i++)
        {
            if (!char.IsSurrogate(chars[i])) continue;
            if (char.IsHighSurrogate(chars[i]) && i + 1 < chars.Length && char.IsLowSurrogate(chars[i + 1])) i++;
            else (chars[i], changed) = ('\uFFFD', true);
        }
        return changed ? new string(chars) : text;
    }

    /// <summary>For each UTF-16 offset 0 to length the number of code points before it; null where the text has no
    /// pairs.</summary>
    public static int[]? OffsetsByUnit(string text)
    {
        if (!text.AsSpan().ContainsAnyInRange('\uD800', '\uDFFF')) return null;
        var offsets = new int[text.Length + 1];
        for (var i = 0; i < text.Length; i++) offsets[i + 1] = offsets[i] + (char.IsLowSurrogate(text[i]) ? 0 : 1);
        return offsets;
    }
}
