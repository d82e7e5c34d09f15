// GPT-2's word pattern, by hand: 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
using PeftAlign.Models.Text.Unicode;

namespace PeftAlign.Models.Text.Patterns;

/// <summary>Character classes that the word patterns share.</summary>
internal static class WordClass
{
    public const int Other = 0, Letter = 1, Number = 2, Space = 3;

    private static readonly byte[] Ascii = [.. Enumerable.Range(0, 128).Select(c => (byte)Compute(c))];

    /// <summary>Letter (\p{L}), Number (\p{N}), Space (\s) or Other.</summary>
    public static int Of(int point) => point < 128 ? Ascii[point] : Compute(point);

    /// <summary>The class of the character at a position, and the position behind it.</summary>
    public static int At(ReadOnlySpan<char> text, int position, out int next)
    {
        var c = text[position];
        next = position + 1;
        if (c < 128) return Ascii[c];
        next = position;
        return Compute(CodePoints.Next(text, ref next));
    }

    /// <summary>The end of the run of one class that starts at a position.</summary>
    public static int RunEnd(ReadOnlySpan<char> text, int position, int kind)
    {
        while (position < text.Length && At(text, position, out var next) == kind) position = next;
        return position;
    }

    private static int Compute(int point)
    {
        var bit = UnicodeData.CategoryBit(point);
        if ((bit & UnicodeData.Letters) != 0) return Letter;
        if ((bit & UnicodeData.Numbers) != 0) return Number;
        return UnicodeData.IsWhiteSpace(point) ? Space : Other;
    }
}

/// <summary>GPT-2's words.</summary>
internal sealed class Gpt2Scanner : PieceScanner
{
    /// <summary>The pattern as tokenizer.json files write it.</summary>
    public const string Source = @"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

    public override int Next(ReadOnlySpan<char> text, int start)
    {
        var first = text[start];
        if (first == '\'' && Contraction(text, start) is var length and > 0) return start + length;
        var kind = WordClass.At(text, start, out var next);
        if (kind != WordClass.Space) return WordClass.RunEnd(text, next, kind);
        if (first == ' ' && next < text.Length)
        {
            var second = WordClass.At(text, next, out var after);
            if (second != WordClass.Space) return WordClass.RunEnd(text, after, second);
        }
        return SpaceEnd(text, next);
    }

    /// <summary>\s+(?!\S)|\s+ behind a first space: all spaces but the last one, where something follows them.</summary>
    public static int SpaceEnd(ReadOnlySpan<char> text, int next)
    {
        var end = WordClass.RunEnd(text, next, WordClass.Space);
        return end == text.Length || end == next ? end : end - 1;
    }

    private static int Contraction(ReadOnlySpan<char> text, int start)
    {
        if (start + 1 >= text.Length) return 0;
        switch (text[start + 1])
        {
            case 's' or 't' or 'm' or 'd': return 2;
            case 'r' or 'v': return start + 2 < text.Length && text[start + 2] == 'e' ? 3 : 0;
            case 'l': return start + 2 < text.Length && text[start + 2] == 'l' ? 3 : 0;
            default: return 0;
        }
    }
}
