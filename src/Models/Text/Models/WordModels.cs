// WordPiece (longest token first, Wu et al. 2016, as BERT does it) and WordLevel (a token per word).
using PeftAlign.Models.Text.Unicode;

namespace PeftAlign.Models.Text.Models;

/// <summary>WordPiece: a word that cannot be written is one unknown token.</summary>
internal sealed class WordPieceModel(Vocabulary vocabulary, int unknownId, string continuingPrefix, int maxCharacters)
    : TokenModel(vocabulary)
{
    public override int? UnknownId => unknownId;

    public override void Tokenize(ReadOnlySpan<char> piece, TokenList tokens, ModelScratch scratch)
    {
        var first = tokens.Count;
        if (CodePoints.Count(piece) > maxCharacters || !TryTokenize(piece, tokens))
        {
            tokens.Cut(first);
            tokens.Add(unknownId, 0, piece.Length);
        }
    }

    private bool TryTokenize(ReadOnlySpan<char> word, TokenList tokens)
    {
        var size = continuingPrefix.Length + word.Length;
        var prefixed = size <= 512 ? stackalloc char[size] : new char[size];
        continuingPrefix.CopyTo(prefixed);
        word.CopyTo(prefixed[continuingPrefix.Length..]);
        for (var start = 0; start < word.Length;)
        {
            // What is left of the word, with the prefix written over what lies before it.
            var tail = start == 0 ? word : prefixed[start..];
            var lead = start == 0 ? 0 : continuingPrefix.Length;
            if (start > 0) continuingPrefix.CopyTo(prefixed[start..]);
            var length = word.Length - start;
            var id = -1;
            while (length > 0 && (id = Vocabulary.Id(tail[..(lead + length)])) < 0)
                length -= CodePoints.Units(CodePoints.Before(tail, lead + length));
            if (id < 0) return false;
            tokens.Add(id, start, start + length);
            start += length;
        }
        return true;
    }
}

/// <summary>WordLevel: a word is a token or unknown.</summary>
internal sealed class WordLevelModel(Vocabulary vocabulary, int? unknownId) : TokenModel(vocabulary)
{
    public override int? UnknownId => unknownId;

    public override void Tokenize(ReadOnlySpan<char> piece, TokenList tokens, ModelScratch scratch)
    {
        var id = Vocabulary.Id(piece);
        if (id < 0)
            id = unknownId ?? throw new TokenizerException(
                $"the word '{piece}' is not in the vocabulary and the model has no unk_token; add one");
        tokens.Add(id, 0, piece.Length);
    }
}
