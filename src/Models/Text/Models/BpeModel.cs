// Byte pair encoding as in tokenizer.json (model type BPE): characters (or bytes written as characters) that merge by rank,
// unknown characters as bytes <0xNN> or as the unknown token, prefixes and suffixes of words.
using PeftAlign.Models.Text.Unicode;

namespace PeftAlign.Models.Text.Models;

/// <summary>Options of <see cref="BpeModel"/>, named as in tokenizer.json.</summary>
internal sealed record BpeOptions
{
    public int? UnknownId { get; init; }
    public string ContinuingSubwordPrefix { get; init; } = "";
    public string EndOfWordSuffix { get; init; } = "";
    public bool FuseUnk { get; init; }
    public bool ByteFallback { get; init; }
    public bool IgnoreMerges { get; init; }
}

/// <summary>A BPE vocabulary with its merges.</summary>
internal sealed class BpeModel : WordModel
{
    private readonly MergeTable _merges;
    private readonly BpeOptions _options;
    private readonly bool _hasAffixes;
    private readonly int[] _byteTokens = new int[256];          // ids of <0xNN>, or -1
    private readonly int[] _byteCharacters = new int[256];      // ids of the byte alphabet's characters, or -1

    /// <param name="vocabulary">Tokens and ids.</param>
    /// <param name="merges">Pairs of ids.</param>
    /// <param name="options">How unknown characters and affixes are treated.</param>
    public BpeModel(Vocabulary vocabulary, MergeTable merges, BpeOptions options) : base(vocabulary, HasAffixes(options) || options.IgnoreMerges ? WordBoundaries.None : WordBoundaries.Of(vocabulary))
    {
        (_merges, _options, _hasAffixes) = (merges, options, HasAffixes(options));
        for (var b = 0; b < 256; b++)
        {
            _byteTokens[b] = vocabulary.ByteId(b);
            _byteCharacters[b] = vocabulary.Id([ByteAlphabet.CharOf((byte)b)]);
        }
        HasByteAlphabet = !_hasAffixes && _byteCharacters.All(id => id >= 0);
    }

    public override int? UnknownId => _options.UnknownId;

    /// <summary>Whether every byte has its character in the vocabulary, so that <see cref="TokenizeBytes"/> can be
    /// used.</summary>
    public bool HasByteAlphabet { get; }

    protected override void Merge(ReadOnlySpan<char> word, int shift, TokenList tokens, MergeBuffer merging)
    {
        if (_options.IgnoreMerges && Vocabulary.Id(word) is var whole and >= 0)
        {
            tokens.Add(whole, shift, shift + word.Length);
            return;
        }
        if (_hasAffixes) AddWithAffixes(word, merging);
        else AddCharacters(word, merging);
        merging.Merge(_merges, tokens, shift);
    }

    /// <summary>Appends the tokens of a word that is not yet written in the byte alphabet. Their offsets are those of the word
    /// as a whole: callers that need more go the long way.</summary>
    public void TokenizeBytes(ReadOnlySpan<char> word, TokenList tokens, ModelScratch scratch)
    {
        var isShort = word.Length <= WordCache.MaxWord;
        var hash = isShort ? WordCache.Hash(word) : 0;
        if (isShort && scratch.ByteWords.TryGet(word, hash, tokens, 0)) return;
        var first = tokens.Count;
        var merging = scratch.Merging;
        merging.Clear();
        Span<byte> bytes = stackalloc byte[4];
        for (var i = 0; i < word.Length;)
        {
            var point = CodePoints.Next(word, ref i);
            if (point < 0x80) merging.Add(_byteCharacters[point], 0, 0);
            else
            {
                var count = Utf8.Encode(point, bytes);
                for (var k = 0; k < count; k++) merging.Add(_byteCharacters[bytes[k]], 0, 0);
            }
        }
        if (_options.IgnoreMerges && WholeWord(word, merging.Count) is var whole and >= 0) tokens.Add(whole, 0, 0);
        else merging.Merge(_merges, tokens, 0);
        if (isShort) scratch.ByteWords.Add(word, hash, tokens.Items[first..], 0);
    }

    private static bool HasAffixes(BpeOptions options) => options.ContinuingSubwordPrefix != "" || options.EndOfWordSuffix != "";

    private int WholeWord(ReadOnlySpan<char> word, int length)
    {
        const int longest = 1024;
        if (length > longest) return -1;
        Span<char> written = stackalloc char[longest];
        Span<byte> bytes = stackalloc byte[4];
        var at = 0;
        for (var i = 0; i < word.Length;)
        {
            var count = Utf8.Encode(CodePoints.Next(word, ref i), bytes);
            for (var k = 0; k < count; k++) written[at++] = ByteAlphabet.CharOf(bytes[k]);
        }
        return Vocabulary.Id(written[..at]);
    }

    private void AddCharacters(ReadOnlySpan<char> word, MergeBuffer merging)
    {
        var unknown = new UnknownRun(_options, merging);
        var known = 0;                          // characters that a symbol stands for
        for (var i = 0; i < word.Length;)
        {
            var start = i;
            CodePoints.Next(word, ref i);
            var id = Vocabulary.Id(word[start..i]);
            if (id >= 0)
            {
                unknown.End();
                merging.Add(id, start, i);
                known += i - start;
            }
            else if (!_options.ByteFallback || !TryAddBytes(word[start..i], start, i, merging)) unknown.Add(start, i);
            else known += i - start;
        }
        unknown.End();
        if (_options.UnknownId is null && known < word.Length) DroppedCharacters.CloseGaps(word, merging);
    }

    private void AddWithAffixes(ReadOnlySpan<char> word, MergeBuffer merging)
    {
        var unknown = new UnknownRun(_options, merging);
        for (var i = 0; i < word.Length;)
        {
            var start = i;
            CodePoints.Next(word, ref i);
            var text = string.Concat(
                start == 0 ? "" : _options.ContinuingSubwordPrefix,
                word[start..i],
                i == word.Length ? _options.EndOfWordSuffix : "");
            var id = Vocabulary.Id(text);
            if (id >= 0)
            {
                unknown.End();
                merging.Add(id, start, i);
            }
            else if (!_options.ByteFallback || !TryAddBytes(text, start, i, merging)) unknown.Add(start, i);
        }
        unknown.End();
    }

    // All bytes of a character, or none where the vocabulary lacks one of them.
    private bool TryAddBytes(ReadOnlySpan<char> text, int start, int end, MergeBuffer merging)
    {
        Span<byte> bytes = stackalloc byte[4];
        var count = merging.Count;
        for (var i = 0; i < text.Length;)
        {
            var length = Utf8.Encode(CodePoints.Next(text, ref i), bytes);
            for (var k = 0; k < length; k++)
            {
                if (_byteTokens[bytes[k]] < 0)
                {
                    merging.Cut(count);
                    return false;
                }
                merging.Add(_byteTokens[bytes[k]], start, end);
            }
        }
        return true;
    }

    // Unknown characters that wait for the next known one: fused they are one symbol. Without an unknown token they vanish.
    private struct UnknownRun(BpeOptions options, MergeBuffer merging)
    {
        private int _start = -1, _end;

        public void Add(int start, int end)
        {
            if (_start >= 0 && !options.FuseUnk) End();
            if (_start < 0) _start = start;
            _end = end;
        }

        public void End()
        {
            if (_start >= 0 && options.UnknownId is { } id) merging.Add(id, _start, _end);
            _start = -1;
        }
    }
}
