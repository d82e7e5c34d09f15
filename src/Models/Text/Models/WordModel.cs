// The base of models that merge: a piece is cut into words where no token crosses, and each word's tokens are computed once.
namespace PeftAlign.Models.Text.Models;

/// <summary>A model whose tokens stay within words.</summary>
/// <param name="vocabulary">Tokens and ids.</param>
/// <param name="boundaries">Where a piece may be cut.</param>
internal abstract class WordModel(Vocabulary vocabulary, WordBoundaries boundaries) : TokenModel(vocabulary)
{
    public sealed override void Tokenize(ReadOnlySpan<char> piece, TokenList tokens, ModelScratch scratch)
    {
        // Where no token crosses from a word into the space before the next one, each word can be merged for itself.
        for (var start = 0; start < piece.Length;)
        {
            var end = boundaries.Next(piece, start);
            TokenizeWord(piece[start..end], start, tokens, scratch);
            start = end;
        }
    }

    /// <summary>Appends the tokens of a word that was not seen lately; their offsets are moved by <paramref name="shift"/>.</summary>
    protected abstract void Merge(ReadOnlySpan<char> word, int shift, TokenList tokens, MergeBuffer merging);

    private void TokenizeWord(ReadOnlySpan<char> word, int shift, TokenList tokens, ModelScratch scratch)
    {
        var isShort = word.Length <= WordCache.MaxWord;
        var hash = isShort ? WordCache.Hash(word) : 0;
        if (isShort && scratch.Words.TryGet(word, hash, tokens, shift)) return;
        var first = tokens.Count;
        scratch.Merging.Clear();
        Merge(word, shift, tokens, scratch.Merging);
        if (isShort) scratch.Words.Add(word, hash, tokens.Items[first..], shift);
    }
}
