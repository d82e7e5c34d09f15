// Unigram (Kudo 2018): the segmentation with the best sum of token scores, by dynamic programming over a trie of the vocabulary.
using PeftAlign.Models.Text.Unicode;

namespace PeftAlign.Models.Text.Models;

/// <summary>What a Unigram token is, beside an ordinary one.</summary>
internal enum UnigramKind : byte
{
    /// <summary>Scored as the vocabulary says.</summary>
    Normal,

    /// <summary>Scored by its length, so that it always wins (sentencepiece's user-defined pieces).</summary>
    Always,

    /// <summary>Never made from text.</summary>
    Never,
}

/// <summary>A Unigram vocabulary.</summary>
internal sealed class UnigramModel : TokenModel
{
    private const double UnknownPenalty = 10;

    private readonly TokenTrie _trie;
    private readonly double[] _scores;
    private readonly int? _unknownId;
    private readonly double _unknownScore;
    private readonly bool _single, _byteFallback;
    private readonly int[] _byteTokens = new int[256];

    /// <param name="vocabulary">Tokens; ids are 0 to n-1.</param>
    /// <param name="scores">Score by id.</param>
    /// <param name="kinds">Kind by id; null: all normal.</param>
    /// <param name="unknownId">The unknown token, or null: text that the vocabulary cannot write is then an error.</param>
    /// <param name="byteFallback">Whether unknown text is written in byte tokens.</param>
    /// <param name="singlePrecision">Whether sums are rounded to 32 bits, as sentencepiece does, or 64, as tokenizers
    /// does.</param>
    public UnigramModel(
        Vocabulary vocabulary, double[] scores, UnigramKind[]? kinds, int? unknownId, bool byteFallback, bool singlePrecision)
        : base(vocabulary)
    {
        (_scores, _unknownId, _single) = ([.. scores], unknownId, singlePrecision);
        var normal = Enumerable.Range(0, scores.Length).Where(id => kinds is null || kinds[id] == UnigramKind.Normal).ToList();
        var min = normal.Count == 0 ? 0 : normal.Min(id => scores[id]);
        var max = normal.Count == 0 ? 0 : normal.Max(id => scores[id]);
        _unknownScore = Round(min - UnknownPenalty);
        _trie = new TokenTrie(vocabulary.Entries.Where(entry => kinds is null || kinds[entry.Value] != UnigramKind.Never));
        if (kinds is not null)
            foreach (var (token, id) in vocabulary.Entries)
                if (kinds[id] == UnigramKind.Always)
                    _scores[id] = Round(System.Text.Encoding.UTF8.GetByteCount(token) * max - 0.1);
        for (var b = 0; b < 256; b++) _byteTokens[b] = vocabulary.ByteId(b);
        _byteFallback = byteFallback && _byteTokens.All(id => id >= 0);
    }

    public override int? UnknownId => _unknownId;

    public override string Show(int id, ReadOnlySpan<char> text) => id == _unknownId ? text.ToString() : Vocabulary.Token(id)!;

    public override void Tokenize(ReadOnlySpan<char> piece, TokenList tokens, ModelScratch scratch)
    {
        var isShort = piece.Length <= WordCache.MaxWord;
        var hash = isShort ? WordCache.Hash(piece) : 0;
        if (isShort && scratch.Words.TryGet(piece, hash, tokens, 0)) return;
        var first = tokens.Count;
        FindBestPath(piece, scratch.Paths);
        WritePath(piece, scratch.Paths, tokens);
        if (isShort) scratch.Words.Add(piece, hash, tokens.Items[first..], 0);
    }

    private void FindBestPath(ReadOnlySpan<char> piece, PathBuffer path)
    {
        path.Clear(piece.Length);
        for (var start = 0; start < piece.Length;)
        {
            var before = path.Scores[start];
            var next = start;
            CodePoints.Next(piece, ref next);
            var known = false;
            var node = TokenTrie.Root;
            for (var end = start; end < piece.Length && _trie.Step(ref node, piece[end]);)
            {
                end++;
                var id = _trie.Token(node);
                if (id < 0) continue;
                path.Offer(start, end, id, Round(_scores[id] + before));
                known |= end == next;
            }
            if (!known) path.Offer(start, next, _unknownId ?? PathBuffer.Unknown, Round(_unknownScore + before));
            start = next;
        }
    }

    // Back from the end; neighbouring unknown characters are one token, or all their bytes.
    private void WritePath(ReadOnlySpan<char> piece, PathBuffer path, TokenList tokens)
    {
        path.Steps.Clear();
        for (var end = piece.Length; end > 0; end = path.Starts[end])
        {
            var (id, start) = (path.Ids[end], path.Starts[end]);
            if (id == PathBuffer.Unknown)
                throw new TokenizerException(
                    $"the text '{piece[start..end]}' is not in the vocabulary and the model has no unk_id; add an unknown token");
            var last = path.Steps.Count - 1;
            if (id == _unknownId && last >= 0 && path.Steps[last].Id == id)
                path.Steps[last] = path.Steps[last] with { Start = start };
            else path.Steps.Add(new TokenList.Token(id, start, end));
        }
        for (var i = path.Steps.Count - 1; i >= 0; i--)
        {
            var (id, start, end) = path.Steps[i];
            if (id == _unknownId && _byteFallback && Vocabulary.Id(piece[start..end]) < 0) AddBytes(piece, start, end, tokens);
            else tokens.Add(id, start, end);
        }
    }

    private void AddBytes(ReadOnlySpan<char> piece, int start, int end, TokenList tokens)
    {
        Span<byte> bytes = stackalloc byte[4];
        for (var i = start; i < end;)
        {
            var count = Utf8.Encode(CodePoints.Next(piece, ref i), bytes);
            for (var k = 0; k < count; k++) tokens.Add(_byteTokens[bytes[k]], start, end);
        }
    }

    private double Round(double value) => _single ? (float)value : value;
}

/// <summary>The best path to each position of a piece. Used again and again by one thread.</summary>
internal sealed class PathBuffer
{
    /// <summary>Stands for an unknown character where the model has no unknown token.</summary>
    public const int Unknown = -2;

    /// <summary>By end position: the score of the best path, its last token and where that starts (-1: not reached).</summary>
    public double[] Scores = [];
    public int[] Ids = [], Starts = [];

    /// <summary>The tokens of the best path, from the last.</summary>
    public List<TokenList.Token> Steps { get; } = [];

    /// <summary>Makes room for a piece and forgets the last one.</summary>
    public void Clear(int length)
    {
        if (Scores.Length <= length || Scores.Length > Math.Max(1 << 20, 4 * length))
        {
            var size = Math.Max(256, length + 1);
            (Scores, Ids, Starts) = (new double[size], new int[size], new int[size]);
        }
        Starts.AsSpan(0, length + 1).Fill(-1);
        Scores[0] = 0;
    }

    /// <summary>Keeps a token that ends at a position if its path is better than the one there.</summary>
    public void Offer(int start, int end, int id, double score)
    {
        if (Starts[end] >= 0 && score <= Scores[end]) return;
        (Scores[end], Ids[end], Starts[end]) = (score, id, start);
    }
}
