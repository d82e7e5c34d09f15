// BPE as sentencepiece does it: of all neighbours whose joined text is a piece, the one with the best score merges first, the
// leftmost of equals. Unknown characters become bytes, or runs of them one unknown piece.
using PeftAlign.Models.Text.Models;
using PeftAlign.Models.Text.Unicode;

namespace PeftAlign.Models.Text.SentencePiece;

/// <summary>A sentencepiece BPE model. Symbols are ids of pieces, then characters that occur in pieces but are none; a
/// user-defined piece in the text is the symbol -2 - id, which never merges.</summary>
internal sealed class SentencePieceBpe : WordModel
{
    private readonly SentencePieceFile _file;
    private readonly Dictionary<string, int> _symbols = [];         // ordinary pieces and single characters
    private readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> _lookup;
    private readonly int[] _characters = new int[0x10000];
    private readonly MergeTable _merges;
    private readonly TokenTrie? _userDefined;
    private readonly int[] _byteTokens = new int[256];
    private readonly Dictionary<int, (int Left, int Right)> _unusedParts = [];

    public SentencePieceBpe(SentencePieceFile file, Vocabulary vocabulary) : base(vocabulary, WordBoundaries.Of(vocabulary))
    {
        _file = file;
        _lookup = _symbols.GetAlternateLookup<ReadOnlySpan<char>>();
        for (var id = 0; id < file.Pieces.Count; id++)
            if (file.Pieces[id].IsOrdinary) _symbols[file.Pieces[id].Text] = id;
        AddCharacters();
        Array.Fill(_characters, -1);
        foreach (var (text, symbol) in _symbols)
            if (text.Length == 1) _characters[text[0]] = symbol;
        _merges = MakeMerges();
        _userDefined = SentencePieceNormalizer.UserDefined(file);
        if (file.ByteFallback)
            for (var b = 0; b < 256; b++) _byteTokens[b] = vocabulary.ByteId(b);
    }

    public override int? UnknownId => _file.UnknownId;

    public override string Show(int id, ReadOnlySpan<char> text) => id == _file.UnknownId ? text.ToString() : base.Show(id, text);

    protected override void Merge(ReadOnlySpan<char> word, int shift, TokenList tokens, MergeBuffer merging)
    {
        var first = tokens.Count;
        AddSymbols(word, merging);
        var symbols = new TokenList();
        merging.Merge(_merges, symbols, 0);
        foreach (ref readonly var symbol in symbols.Items) AddToken(symbol, word, shift, tokens, first);
    }

    private void AddSymbols(ReadOnlySpan<char> word, MergeBuffer merging)
    {
        for (var i = 0; i < word.Length;)
        {
            var start = i;
            if (_userDefined is not null && (i = SentencePieceNormalizer.MatchEnd(_userDefined, word, start, out var id)) > start)
            {
                merging.Add(-2 - id, start, i);
                continue;
            }
            i = start;
            CodePoints.Next(word, ref i);
            var known = i == start + 1 ? _characters[word[start]] : _lookup.TryGetValue(word[start..i], out var symbol) ? symbol : -1;
            merging.Add(known, start, i);
        }
    }

    private void AddToken(TokenList.Token symbol, ReadOnlySpan<char> word, int shift, TokenList tokens, int first)
    {
        var (id, start, end) = symbol;
        if (id <= -2) tokens.Add(-2 - id, start + shift, end + shift);
        else if (_unusedParts.TryGetValue(id, out var parts))
        {
            var middle = start + LengthOf(parts.Left);
            AddToken(new TokenList.Token(parts.Left, start, middle), word, shift, tokens, first);
            AddToken(new TokenList.Token(parts.Right, middle, end), word, shift, tokens, first);
        }
        else if (id >= 0 && id < _file.Pieces.Count) tokens.Add(id, start + shift, end + shift);
        else if (_file.ByteFallback) AddBytes(word[start..end], start + shift, end + shift, tokens);
        else if (tokens.Count > first && tokens.Items[^1].Id == _file.UnknownId)
            tokens.Items[^1] = tokens.Items[^1] with { End = end + shift };
        else tokens.Add(_file.UnknownId, start + shift, end + shift);
    }

    private void AddBytes(ReadOnlySpan<char> text, int start, int end, TokenList tokens)
    {
        Span<byte> bytes = stackalloc byte[4];
        for (var i = 0; i < text.Length;)
        {
            var count = Utf8.Encode(CodePoints.Next(text, ref i), bytes);
            for (var k = 0; k < count; k++) tokens.Add(_byteTokens[bytes[k]], start, end);
        }
    }

    private int LengthOf(int symbol) => symbol < _file.Pieces.Count ? _file.Pieces[symbol].Text.Length
        : _symbols.First(pair => pair.Value == symbol).Key.Length;

    // Characters inside pieces that are no pieces: they can still merge into one.
    private void AddCharacters()
    {
        var next = _file.Pieces.Count;
        foreach (var piece in _file.Pieces)
        {
            if (!piece.IsOrdinary) continue;
            for (var i = 0; i < piece.Text.Length;)
            {
                var start = i;
                CodePoints.Next(piece.Text, ref i);
                if (_symbols.TryAdd(piece.Text[start..i], next)) next++;
            }
        }
    }

    // Every cut of every piece into two symbols is a merge; equal scores have equal rank.
    private MergeTable MakeMerges()
    {
        var ordinary = Enumerable.Range(0, _file.Pieces.Count).Where(id => _file.Pieces[id].IsOrdinary).ToList();
        var ranks = ordinary.Select(id => _file.Pieces[id].Score).Distinct().OrderDescending().Index()
            .ToDictionary(row => row.Item, row => row.Index);
        var merges = new List<(int Left, int Right, int Rank, int Joined)>();
        foreach (var id in ordinary)
        {
            var (text, score, type) = _file.Pieces[id];
            for (var cut = 1; cut < text.Length; cut++)
            {
                if (!_lookup.TryGetValue(text.AsSpan(0, cut), out var left)
                    || !_lookup.TryGetValue(text.AsSpan(cut), out var right)) continue;
                merges.Add((left, right, ranks[score], id));
                if (type == PieceType.Unused) _unusedParts[id] = (left, right);
            }
        }
        var table = new MergeTable(merges.Count);
        foreach (var (left, right, rank, joined) in merges) table.Add(left, right, rank, joined);
        return table;
    }
}
