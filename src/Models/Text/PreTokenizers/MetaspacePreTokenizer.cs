// Metaspace: sentencepiece's way with spaces. They become a visible character (U+2581), which starts a word.
using PeftAlign.Models.Text.Normalizers;
using PeftAlign.Models.Text.Patterns;

namespace PeftAlign.Models.Text.PreTokenizers;

/// <summary>When the replacement goes before a piece: always, only at the start of the text, never.</summary>
internal enum PrependScheme { Always, First, Never }

/// <summary>Writes spaces as the replacement, puts one before a piece by the scheme, and may cut before each.</summary>
internal sealed class MetaspacePreTokenizer(char replacement, PrependScheme scheme, bool split) : PreTokenizer
{
    private readonly SplitPreTokenizer _split =
        new(new LiteralPattern(replacement.ToString()), SplitBehavior.MergedWithNext, invert: false);

    /// <summary>When the replacement goes before a piece.</summary>
    public PrependScheme Scheme => scheme;

    public override void Apply(PreTokenized text, TextPool pool)
    {
        var target = pool.Rent(text.Text);
        var pieces = new List<Piece>(text.Pieces.Count);
        foreach (var piece in text.Pieces)
        {
            var start = target.Length;
            if (piece.Id < 0 && NeedsPrefix(text.Text.Chars, piece))
                PrependNormalizer.Write(replacement.ToString(), text.Text, piece.Start, target);
            var body = target.Length;
            target.Append(text.Text, piece.Start, piece.End);
            if (piece.Id < 0) target.Writable[body..].Replace(' ', replacement);
            pieces.Add(piece with { Start = start, End = target.Length });
        }
        pool.Return(text.Text);
        (text.Text, text.Pieces) = (target, pieces);
        if (split) _split.Apply(text, pool);
    }

    private bool NeedsPrefix(ReadOnlySpan<char> text, Piece piece)
    {
        var first = text[piece.Start];
        if (first == replacement || first == ' ') return false;
        return scheme == PrependScheme.Always || (scheme == PrependScheme.First && piece.Origin == 0);
    }
}
