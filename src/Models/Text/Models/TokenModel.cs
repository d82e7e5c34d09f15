// The base of the models of tokenizer.json: each turns one piece of text into tokens of its vocabulary.
using PeftAlign.Models.Text.Unicode;

namespace PeftAlign.Models.Text.Models;

/// <summary>A vocabulary and the way to write a piece in it. Immutable; the state of a call is in <see
/// cref="ModelScratch"/>.</summary>
internal abstract class TokenModel(Vocabulary vocabulary)
{
    /// <summary>Tokens and ids.</summary>
    public Vocabulary Vocabulary => vocabulary;

    /// <summary>The id that stands for the unknown, or null.</summary>
    public abstract int? UnknownId { get; }

    /// <summary>Appends the tokens of a piece; their offsets are UTF-16 units of the piece.</summary>
    public abstract void Tokenize(ReadOnlySpan<char> piece, TokenList tokens, ModelScratch scratch);

    /// <summary>How a token is shown: as the vocabulary writes it, but Unigram shows the text of an unknown one.</summary>
    public virtual string Show(int id, ReadOnlySpan<char> text) => vocabulary.Token(id)!;
}

/// <summary>Tokens of a text: id and range. Grows; used again and again by one thread.</summary>
internal sealed class TokenList
{
    /// <summary>One token: its id and the units [Start, End) that it comes from.</summary>
    public readonly record struct Token(int Id, int Start, int End);

    private Token[] _items = new Token[64];

    /// <summary>Number of tokens.</summary>
    public int Count { get; private set; }

    /// <summary>The tokens.</summary>
    public Span<Token> Items => _items.AsSpan(0, Count);

    /// <summary>Appends a token.</summary>
    public void Add(int id, int start, int end)
    {
        if (Count == _items.Length) Array.Resize(ref _items, Count * 2);
        _items[Count++] = new Token(id, start, end);
    }

    /// <summary>Appends tokens, moved by some units.</summary>
    public void Add(ReadOnlySpan<Token> tokens, int shift)
    {
        if (Count + tokens.Length > _items.Length) Array.Resize(ref _items, Math.Max(Count + tokens.Length, Count * 2));
        var target = _items.AsSpan(Count, tokens.Length);
        for (var i = 0; i < tokens.Length; i++)
            target[i] = new Token(tokens[i].Id, tokens[i].Start + shift, tokens[i].End + shift);
        Count += tokens.Length;
    }

    /// <summary>Drops the tokens behind the first <paramref name="count"/>.</summary>
    public void Cut(int count)
    {
        Count = count;
        if (_items.Length > 1 << 20 && count == 0) _items = new Token[64];
    }
}

/// <summary>What one thread needs while it tokenises: buffers, and the words that it has seen.</summary>
internal sealed class ModelScratch
{
    /// <summary>Words by their text.</summary>
    public WordCache Words { get; } = new();

    /// <summary>Words by the text before it is written in the byte alphabet.</summary>
    public WordCache ByteWords { get; } = new();

    /// <summary>Buffers for merging.</summary>
    public MergeBuffer Merging { get; } = new();

    /// <summary>Buffers for the best path.</summary>
    public PathBuffer Paths { get; } = new();
}

/// <summary>Tokens and ids, both ways.</summary>
internal sealed class Vocabulary
{
    /// <summary>The largest id that is accepted: tables have a place for each.</summary>
    public const int MaxId = 1 << 22;

    private readonly Dictionary<string, int> _ids;
    private readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> _lookup;
    private readonly string?[] _tokens;
    private readonly int[] _characters = new int[0x10000];

    /// <param name="entries">Tokens and their ids.</param>
    /// <param name="sharedIds">Whether several tokens may have one id (the last one is its token); else that is an error.</param>
    public Vocabulary(IReadOnlyCollection<KeyValuePair<string, int>> entries, bool sharedIds = false)
    {
        _ids = new Dictionary<string, int>(entries.Count);
        _lookup = _ids.GetAlternateLookup<ReadOnlySpan<char>>();
        var last = -1;
        foreach (var (token, id) in entries)
        {
            if (id is < 0 or > MaxId)
                throw new TokenizerException($"vocab: the id {id} of token '{token}' is outside 0 to {MaxId}; correct the file");
            last = Math.Max(last, id);
        }
        _tokens = new string?[last + 1];
        Array.Fill(_characters, -1);
        foreach (var (token, id) in entries)
        {
            if (_tokens[id] is { } other && other != token && !sharedIds)
                throw new TokenizerException($"vocab: the tokens '{other}' and '{token}' have the same id {id}; give each its own");
            _tokens[id] = token;
            _ids[token] = id;
            if (token.Length == 1) _characters[token[0]] = id;
        }
    }

    /// <summary>Number of tokens.</summary>
    public int Count => _ids.Count;

    /// <summary>One more than the largest id.</summary>
    public int Size => _tokens.Length;

    /// <summary>The token of an id, or null.</summary>
    public string? Token(int id) => (uint)id < (uint)_tokens.Length ? _tokens[id] : null;

    /// <summary>The id of a token, or -1.</summary>
    public int Id(ReadOnlySpan<char> token) =>
        token.Length == 1 ? _characters[token[0]] : _lookup.TryGetValue(token, out var id) ? id : -1;

    /// <summary>The id of the byte token <c>&lt;0xNN&gt;</c>, or -1.</summary>
    public int ByteId(int value) => Id($"<0x{value:X2}>");

    /// <summary>All tokens with their ids.</summary>
    public IEnumerable<KeyValuePair<string, int>> Entries => _ids;
}

/// <summary>UTF-8 bytes of characters, where models fall back to bytes.</summary>
internal static class Utf8
{
    /// <summary>Writes the UTF-8 form of a code point; returns its length.</summary>
    public static int Encode(int point, Span<byte> bytes)
    {
        switch (CodePoints.Utf8Length(point))
        {
            case 1:
                bytes[0] = (byte)point;
                return 1;
            case 2:
                (bytes[0], bytes[1]) = ((byte)(0xC0 | point >> 6), (byte)(0x80 | (point & 0x3F)));
                return 2;
            case 3:
                (bytes[0], bytes[1], bytes[2]) =
                    ((byte)(0xE0 | point >> 12), (byte)(0x80 | (point >> 6 & 0x3F)), (byte)(0x80 | (point & 0x3F)));
                return 3;
            default:
                (bytes[0], bytes[1]) = ((byte)(0xF0 | point >> 18), (byte)(0x80 | (point >> 12 & 0x3F)));
                (bytes[2], bytes[3]) = ((byte)(0x80 | (point >> 6 & 0x3F)), (byte)(0x80 | (point & 0x3F)));
                return 4;
        }
    }
}
