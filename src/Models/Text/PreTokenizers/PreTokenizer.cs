// The base of the pre-tokenizers of tokenizer.json: each cuts the pieces of a text into smaller ones, or rewrites them.
using PeftAlign.Models.Text.Patterns;

namespace PeftAlign.Models.Text.PreTokenizers;

/// <summary>A piece of the text: units [Start, End). Id: the added token that it is, or -1 where it is still to be tokenised.
/// Origin: where it begins in the original text.</summary>
internal readonly record struct Piece(int Start, int End, int Id, int Origin);

/// <summary>A text and the pieces it is cut into, in order.</summary>
internal sealed class PreTokenized(AlignedText text, List<Piece> pieces)
{
    /// <summary>The text.</summary>
    public AlignedText Text { get; set; } = text;

    /// <summary>The pieces; none is empty.</summary>
    public List<Piece> Pieces { get; set; } = pieces;

    /// <summary>A part of a piece. Its origin is exact where the text tracks; else it is right for the first part, and not zero
    /// for the others, which is all that is asked of it.</summary>
    public Piece Part(Piece whole, int start, int end) =>
        new(start, end, -1, Text.Tracks ? Text.Start(start) : start == whole.Start ? whole.Origin : Math.Max(1, whole.Origin));
}

/// <summary>One step of pre-tokenisation.</summary>
internal abstract class PreTokenizer
{
    /// <summary>Cuts or rewrites every piece that is no added token.</summary>
    public abstract void Apply(PreTokenized text, TextPool pool);
}

/// <summary>Several steps, one after the other.</summary>
internal sealed class SequencePreTokenizer(IReadOnlyList<PreTokenizer> steps) : PreTokenizer
{
    /// <summary>The steps, in order.</summary>
    public IReadOnlyList<PreTokenizer> Steps => steps;

    public override void Apply(PreTokenized text, TextPool pool)
    {
        foreach (var step in steps) step.Apply(text, pool);
    }
}

/// <summary>What becomes of the matches of a splitting pattern.</summary>
internal enum SplitBehavior { Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous }

/// <summary>Split: cuts pieces at the matches of a pattern. Punctuation, Digits and CharDelimiterSplit are special
/// cases.</summary>
internal sealed class SplitPreTokenizer(Pattern pattern, SplitBehavior behavior, bool invert) : PreTokenizer
{
    /// <summary>The hand-written scanner that does exactly this step, if there is one.</summary>
    public PieceScanner? Scanner => behavior == SplitBehavior.Isolated && !invert ? (pattern as ScannerPattern)?.Scanner : null;

    public override void Apply(PreTokenized text, TextPool pool)
    {
        var result = new List<Piece>(text.Pieces.Count * 2);
        var parts = new List<(int Start, int End, bool IsMatch)>();
        foreach (var piece in text.Pieces)
        {
            if (piece.Id >= 0)
            {
                result.Add(piece);
                continue;
            }
            parts.Clear();
            FindParts(text.Text.Chars[piece.Start..piece.End], parts);
            foreach (var (start, end) in Splitting.Merge(parts, behavior))
                if (end > start) result.Add(text.Part(piece, piece.Start + start, piece.Start + end));
        }
        text.Pieces = result;
    }

    // Matches and what lies between them, in order; inverted, each for the other.
    private void FindParts(ReadOnlySpan<char> text, List<(int, int, bool)> parts)
    {
        var last = 0;
        var cursor = pattern.Matches(text);
        while (cursor.Next(text, out var start, out var end))
        {
            if (start > last) parts.Add((last, start, invert));
            parts.Add((start, end, !invert));
            last = end;
        }
        if (last < text.Length) parts.Add((last, text.Length, invert));
    }
}

/// <summary>How matches join their neighbours.</summary>
internal static class Splitting
{
    /// <summary>The ranges that remain of matches and gaps.</summary>
    public static IEnumerable<(int Start, int End)> Merge(List<(int Start, int End, bool IsMatch)> parts, SplitBehavior behavior)
    {
        switch (behavior)
        {
            case SplitBehavior.Removed: return parts.Where(part => !part.IsMatch).Select(part => (part.Start, part.End));
            case SplitBehavior.Isolated: return parts.Select(part => (part.Start, part.End));
            case SplitBehavior.MergedWithNext:
                parts.Reverse();
                var merged = Join(parts, (isMatch, previous) => isMatch && !previous);
                merged.Reverse();
                return merged;
            case SplitBehavior.Contiguous: return Join(parts, (isMatch, previous) => isMatch == previous);
            default: return Join(parts, (isMatch, previous) => isMatch && !previous);
        }
    }

    private static List<(int Start, int End)> Join(List<(int Start, int End, bool IsMatch)> parts, Func<bool, bool, bool> joins)
    {
        var result = new List<(int Start, int End)>();
        var previous = false;
        foreach (var (start, end, isMatch) in parts)
        {
            if (joins(isMatch, previous) && result.Count > 0)
                result[^1] = (Math.Min(result[^1].Start, start), Math.Max(result[^1].End, end));
            else result.Add((start, end));
            previous = isMatch;
        }
        return result;
    }
}
