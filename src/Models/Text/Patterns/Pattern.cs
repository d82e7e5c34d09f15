// What Split and Replace look for: a literal, single characters, or a regular expression.
using PeftAlign.Models.Text.Unicode;

namespace PeftAlign.Models.Text.Patterns;

/// <summary>Finds matches in a text from left to right, without overlap. Immutable; cursors keep the state.</summary>
internal abstract class Pattern
{
    /// <summary>Starts at the beginning of a text. The cursor must be asked with this same text.</summary>
    public abstract MatchCursor Matches(ReadOnlySpan<char> text);
}

/// <summary>A position in the matches of one text.</summary>
internal abstract class MatchCursor
{
    /// <summary>The next match, [start, end) in UTF-16 units; empty matches count.</summary>
    public abstract bool Next(ReadOnlySpan<char> text, out int start, out int end);
}

/// <summary>A string, as it is.</summary>
internal sealed class LiteralPattern(string text) : Pattern
{
    /// <summary>The string; an empty one never matches.</summary>
    public string Text => text;

    public override MatchCursor Matches(ReadOnlySpan<char> _) => new Cursor(text);

    private sealed class Cursor(string literal) : MatchCursor
    {
        private int _position;

        public override bool Next(ReadOnlySpan<char> text, out int start, out int end)
        {
            (start, end) = (0, 0);
            if (literal.Length == 0) return false;
            var found = text[_position..].IndexOf(literal);
            if (found < 0) return false;
            start = _position + found;
            end = _position = start + literal.Length;
            return true;
        }
    }
}

/// <summary>Each character for which a test holds, one at a time.</summary>
internal sealed class CharacterPattern(Func<int, bool> test) : Pattern
{
    public override MatchCursor Matches(ReadOnlySpan<char> text) => new Cursor(test);

    private sealed class Cursor(Func<int, bool> test) : MatchCursor
    {
        private int _position;

        public override bool Next(ReadOnlySpan<char> text, out int start, out int end)
        {
            while (_position < text.Length)
            {
                start = _position;
                var point = CodePoints.Next(text, ref _position);
                end = _position;
                if (test(point)) return true;
            }
            (start, end) = (0, 0);
            return false;
        }
    }
}

/// <summary>A regular expression that a hand-written scanner stands for; the scanner's pieces cover the whole text.</summary>
internal sealed class ScannerPattern(PieceScanner scanner) : Pattern
{
    /// <summary>The scanner.</summary>
    public PieceScanner Scanner => scanner;

    public override MatchCursor Matches(ReadOnlySpan<char> text) => new Cursor(scanner);

    private sealed class Cursor(PieceScanner scanner) : MatchCursor
    {
        private int _position;

        public override bool Next(ReadOnlySpan<char> text, out int start, out int end)
        {
            (start, end) = (_position, _position);
            if (_position >= text.Length) return false;
            end = _position = scanner.Next(text, _position);
            return true;
        }
    }
}

/// <summary>Cuts a text into pieces that cover it.</summary>
internal abstract class PieceScanner
{
    /// <summary>The end of the piece that starts at <paramref name="start"/>, greater than it.</summary>
    public abstract int Next(ReadOnlySpan<char> text, int start);
}
