// Pre-tokenizers that cut by character class: Whitespace, WhitespaceSplit, Bert, Punctuation, Digits, CharDelimiterSplit,
// UnicodeScripts, FixedLength.
using PeftAlign.Models.Text.Patterns;
using PeftAlign.Models.Text.Unicode;

namespace PeftAlign.Models.Text.PreTokenizers;

/// <summary>Makes the pre-tokenizers that are a Split by a character class.</summary>
internal static class WordPreTokenizers
{
    /// <summary>Whitespace: \w+|[^\w\s]+ (in Rust's sense of \w), the white space removed.</summary>
    public static PreTokenizer Whitespace() =>
        new ClassPreTokenizer(point => UnicodeData.IsWhiteSpace(point) ? -1 : IsRustWord(point) ? 1 : 2);

    /// <summary>WhitespaceSplit: what lies between white space.</summary>
    public static PreTokenizer WhitespaceSplit() =>
        new SplitPreTokenizer(new CharacterPattern(UnicodeData.IsWhiteSpace), SplitBehavior.Removed, invert: false);

    /// <summary>BertPreTokenizer: white space removed, each punctuation character a word.</summary>
    public static PreTokenizer Bert() => new SequencePreTokenizer([WhitespaceSplit(), Punctuation(SplitBehavior.Isolated)]);

    /// <summary>Punctuation, in BERT's sense.</summary>
    public static PreTokenizer Punctuation(SplitBehavior behavior) =>
        new SplitPreTokenizer(new CharacterPattern(UnicodeData.IsBertPunctuation), behavior, invert: false);

    /// <summary>Digits (category N, as of Unicode 17), each for itself or in runs.</summary>
    public static PreTokenizer Digits(bool individual) => new SplitPreTokenizer(
        new CharacterPattern(point =>
            UnicodeData.Is(point, UnicodeData.Numbers) || point is (>= 0x11DE0 and <= 0x11DE9) or (>= 0x16FF4 and <= 0x16FF6)),
        individual ? SplitBehavior.Isolated : SplitBehavior.Contiguous, invert: false);

    /// <summary>CharDelimiterSplit: what lies between the delimiters.</summary>
    public static PreTokenizer CharDelimiter(int delimiter) =>
        new SplitPreTokenizer(new CharacterPattern(point => point == delimiter), SplitBehavior.Removed, invert: false);

    /// <summary>Rust's \w: Oniguruma's and the two joiners.</summary>
    public static bool IsRustWord(int point) => UnicodeData.IsWord(point) || point is 0x200C or 0x200D;
}

/// <summary>Cuts where the class of characters changes; class -1 is removed.</summary>
internal sealed class ClassPreTokenizer(Func<int, int> classOf) : PreTokenizer
{
    public override void Apply(PreTokenized text, TextPool pool)
    {
        var result = new List<Piece>(text.Pieces.Count * 2);
        foreach (var piece in text.Pieces)
        {
            if (piece.Id >= 0) result.Add(piece);
            else Cut(text, piece, result);
        }
        text.Pieces = result;
    }

    private void Cut(PreTokenized text, Piece piece, List<Piece> result)
    {
        var (start, kind) = (piece.Start, -1);
        for (var position = piece.Start; position < piece.End;)
        {
            var at = position;
            var next = classOf(CodePoints.Next(text.Text.Chars, ref position));
            if (next == kind) continue;
            if (kind >= 0) result.Add(text.Part(piece, start, at));
            (start, kind) = (at, next);
        }
        if (kind >= 0) result.Add(text.Part(piece, start, piece.End));
    }
}

/// <summary>UnicodeScripts: cuts where the script changes; Japanese scripts count as Han; a space, what has no script
/// and what came after Unicode 9.0 as any.</summary>
internal sealed class UnicodeScriptsPreTokenizer : PreTokenizer
{
    private static readonly int Han = UnicodeData.ScriptIndex("Han");
    private static readonly int Unknown = UnicodeData.ScriptIndex("Unknown"), Common = UnicodeData.ScriptIndex("Common");
    private static readonly int Devanagari = UnicodeData.ScriptIndex("Devanagari");
    private static readonly int Hiragana = UnicodeData.ScriptIndex("Hiragana"), Katakana = UnicodeData.ScriptIndex("Katakana");
    private const int Any = -1;

    public override void Apply(PreTokenized text, TextPool pool)
    {
        var result = new List<Piece>(text.Pieces.Count * 2);
        foreach (var piece in text.Pieces)
        {
            if (piece.Id >= 0)
            {
                result.Add(piece);
                continue;
            }
            // Spaces before the first script are dropped.
            var (start, last) = (-1, Any);
            for (var position = piece.Start; position < piece.End;)
            {
                var at = position;
                var script = ScriptOf(CodePoints.Next(text.Text.Chars, ref position));
                if (script == Any || script == last) continue;
                if (start >= 0) result.Add(text.Part(piece, start, at));
                (start, last) = (at, script);
            }
            if (start >= 0) result.Add(text.Part(piece, start, piece.End));
        }
        text.Pieces = result;
    }

    private static int ScriptOf(int point)
    {
        if (point == 0x30FC) return Han;
        // Unicode 9.0 had them in other scripts.
        if (point is 0x589 or 0x61C) return Common;
        if (point is 0x953 or 0x954) return Devanagari;
        if (point == ' ' || !UnicodeData.IsOfUnicode9(point)) return Any;
        var script = UnicodeData.ScriptOf(point);
        return script == Unknown ? Any : script == Hiragana || script == Katakana ? Han : script;
    }
}

/// <summary>FixedLength: pieces of so many characters.</summary>
internal sealed class FixedLengthPreTokenizer(int length) : PreTokenizer
{
    public override void Apply(PreTokenized text, TextPool pool)
    {
        var result = new List<Piece>();
        foreach (var piece in text.Pieces)
        {
            if (piece.Id >= 0)
            {
                result.Add(piece);
                continue;
            }
            for (var position = piece.Start; position < piece.End;)
            {
                var start = position;
                for (var i = 0; i < length && position < piece.End; i++) CodePoints.Next(text.Text.Chars, ref position);
                result.Add(text.Part(piece, start, position));
            }
        }
        text.Pieces = result;
    }
}
