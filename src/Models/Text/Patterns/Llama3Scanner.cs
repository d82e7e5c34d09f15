// The word pattern of Llama 3 and, with one digit at a time, of Qwen 2, by hand:
// (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
namespace PeftAlign.Models.Text.Patterns;

/// <summary>Words of Llama 3 (up to three digits together) or Qwen 2 (one digit).</summary>
internal sealed class Llama3Scanner(int maxDigits) : PieceScanner
{
    private const string Head = @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}";
    private const string Tail = @"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    /// <summary>The scanner for a pattern as tokenizer.json files write it, or null.</summary>
    public static Llama3Scanner? For(string source) => source switch
    {
        Head + "{1,3}" + Tail => new(3),
        Head + Tail => new(1),
        _ => null,
    };

    public override int Next(ReadOnlySpan<char> text, int start)
    {
        var first = text[start];
        if (first == '\'' && Contraction(text, start) is var length and > 0) return start + length;
        var kind = WordClass.At(text, start, out var next);
        if (kind == WordClass.Letter) return WordClass.RunEnd(text, next, WordClass.Letter);
        if (kind == WordClass.Number) return Digits(text, next);
        var (second, after) = (-1, next);
        if (next < text.Length) second = WordClass.At(text, next, out after);
        if (second == WordClass.Letter && first is not ('\r' or '\n')) return WordClass.RunEnd(text, after, WordClass.Letter);
        if (kind == WordClass.Other) return LineEnds(text, WordClass.RunEnd(text, next, WordClass.Other));
        if (first == ' ' && second == WordClass.Other) return LineEnds(text, WordClass.RunEnd(text, after, WordClass.Other));
        return Spaces(text, start, next);
    }

    private int Digits(ReadOnlySpan<char> text, int next)
    {
        for (var count = 1; count < maxDigits && next < text.Length; count++)
        {
            if (WordClass.At(text, next, out var after) != WordClass.Number) break;
            next = after;
        }
        return next;
    }

    // \s*[\r\n]+ takes the spaces up to the last line end of the run; without one, GPT-2's rule.
    private static int Spaces(ReadOnlySpan<char> text, int start, int next)
    {
        var end = WordClass.RunEnd(text, next, WordClass.Space);
        var line = text[start..end].LastIndexOfAny('\r', '\n');
        if (line >= 0) return start + line + 1;
        return end == text.Length || end == next ? end : end - 1;
    }

    private static int LineEnds(ReadOnlySpan<char> text, int end)
    {
        while (end < text.Length && (text[end] is '\r' or '\n')) end++;
        return end;
    }

    // Without regard to case; U+017F folds to s.
    private static int Contraction(ReadOnlySpan<char> text, int start)
    {
        if (start + 1 >= text.Length) return 0;
        var c = text[start + 1];
        if (c == '\u017F') return 2;
        var third = start + 2 < text.Length ? text[start + 2] | 0x20 : 0;
        return (c | 0x20) switch
        {
            's' or 't' or 'm' or 'd' when char.IsAsciiLetter(c) => 2,
            'r' or 'v' when char.IsAsciiLetter(c) && third == 'e' => 3,
            'l' when char.IsAsciiLetter(c) && third == 'l' && char.IsAsciiLetter(text[start + 2]) => 3,
            _ => 0,
        };
    }
}
