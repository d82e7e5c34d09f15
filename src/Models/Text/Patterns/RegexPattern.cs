// A regular expression as a Pattern: a hand-written scanner where the expression is a known one, else the general engine.
using PeftAlign.Models.Text.Unicode;

namespace PeftAlign.Models.Text.Patterns;

/// <summary>A regular expression run by <see cref="RegexRun"/>.</summary>
internal sealed class RegexPattern(string source) : Pattern
{
    private readonly RegexProgram _program = RegexProgram.Compile(source);

    /// <summary>The pattern for an expression in Oniguruma's syntax; throws <see cref="FormatException"/> where it is not
    /// valid.</summary>
    public static Pattern For(string source)
    {
        if (source == Gpt2Scanner.Source) return new ScannerPattern(new Gpt2Scanner());
        return Llama3Scanner.For(source) is { } scanner ? new ScannerPattern(scanner) : new RegexPattern(source);
    }

    public override MatchCursor Matches(ReadOnlySpan<char> text) => new Cursor(new RegexRun(_program, source));

    private sealed class Cursor(RegexRun run) : MatchCursor
    {
        private int _position;

        public override bool Next(ReadOnlySpan<char> text, out int start, out int end)
        {
            if (_position > text.Length || !run.Search(text, _position, out start, out end))
            {
                _position = text.Length + 1;
                (start, end) = (0, 0);
                return false;
            }
            // After an empty match the next search starts one character on.
            if (end > start) _position = end;
            else if (end >= text.Length) _position = end + 1;
            else
            {
                _position = end;
                CodePoints.Next(text, ref _position);
            }
            return true;
        }
    }
}
