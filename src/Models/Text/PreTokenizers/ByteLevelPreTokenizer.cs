// ByteLevel: GPT-2's words, written in the byte alphabet.
using PeftAlign.Models.Text.Normalizers;
using PeftAlign.Models.Text.Patterns;

namespace PeftAlign.Models.Text.PreTokenizers;

/// <summary>Cuts pieces into GPT-2's words (or not) and writes their UTF-8 bytes as characters.</summary>
internal sealed class ByteLevelPreTokenizer(bool addPrefixSpace, bool useRegex) : PreTokenizer
{
    private readonly SplitPreTokenizer _words = new(new ScannerPattern(new Gpt2Scanner()), SplitBehavior.Isolated, invert: false);

    /// <summary>Whether a space goes before a piece that has none.</summary>
    public bool AddPrefixSpace => addPrefixSpace;

    /// <summary>Whether pieces are cut into words.</summary>
    public bool UseRegex => useRegex;

    public override void Apply(PreTokenized text, TextPool pool)
    {
        if (addPrefixSpace) ApplyPrefix(text, pool);
        if (useRegex) _words.Apply(text, pool);
        Rewriting.Apply(text, pool, (source, piece, target) => ByteLevelNormalizer.Write(source, piece.Start, piece.End, target));
    }

    /// <summary>Puts a space before each piece that has none, and does no more.</summary>
    public void ApplyPrefix(PreTokenized text, TextPool pool) => Rewriting.Apply(text, pool, AddPrefix);

    private static void AddPrefix(AlignedText source, Piece piece, AlignedText target)
    {
        if (source.Chars[piece.Start] != ' ') PrependNormalizer.Write(" ", source, piece.Start, target);
        target.Append(source, piece.Start, piece.End);
    }
}

/// <summary>Rewrites every piece into a new text.</summary>
internal static class Rewriting
{
    /// <summary>Calls <paramref name="write"/> for each piece that is no added token; added tokens are copied.</summary>
    public static void Apply(PreTokenized text, TextPool pool, Action<AlignedText, Piece, AlignedText> write)
    {
        var source = text.Text;
        var target = pool.Rent(source);
        var pieces = new List<Piece>(text.Pieces.Count);
        foreach (var piece in text.Pieces)
        {
            var start = target.Length;
            if (piece.Id >= 0) target.Append(source, piece.Start, piece.End);
            else write(source, piece, target);
            if (target.Length > start) pieces.Add(piece with { Start = start, End = target.Length });
        }
        pool.Return(source);
        (text.Text, text.Pieces) = (target, pieces);
    }
}
