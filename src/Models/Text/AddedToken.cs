// Tokens that are found in the text before the model sees it (added_tokens of tokenizer.json).
using PeftAlign.Models.Text.Normalizers;
using PeftAlign.Models.Text.PreTokenizers;

namespace PeftAlign.Models.Text;

/// <summary>One added token and its flags, named as in tokenizer.json.</summary>
internal sealed record AddedToken(int Id, string Content)
{
    public bool SingleWord { get; init; }
    public bool LStrip { get; init; }
    public bool RStrip { get; init; }
    public bool Normalized { get; init; }
    public bool Special { get; init; }
}

/// <summary>The added tokens of a tokenizer, and how a text is cut at them.</summary>
internal sealed class AddedVocabulary
{
    private readonly AddedTokenMatcher _raw, _normalized;
    private readonly Dictionary<int, AddedToken> _byId = [];
    private readonly Dictionary<string, int> _ids = [];

    public AddedVocabulary(IReadOnlyList<AddedToken> tokens, Normalizer? normalizer)
    {
        foreach (var token in tokens) (_byId[token.Id], _ids[token.Content]) = (token, token.Id);
        var special = tokens.Where(t => t.Special).Select(t => t.Content).ToHashSet();
        Decoded = tokens.ToDictionary(
            t => t.Id, t => t.Normalized && normalizer is not null ? normalizer.Apply(t.Content) : t.Content);
        Skipped = Decoded.Where(pair => special.Contains(pair.Value)).Select(pair => pair.Key).ToHashSet();
        _raw = new AddedTokenMatcher(tokens.Where(t => !t.Normalized).Select(t => (t.Content, t)));
        _normalized = new AddedTokenMatcher(
            tokens.Where(t => t.Normalized).Select(t => (normalizer?.Apply(t.Content) ?? t.Content, t)));
    }

    /// <summary>By id how a token is decoded: normalised if it is matched so.</summary>
    public IReadOnlyDictionary<int, string> Decoded { get; }

    /// <summary>Ids that decoding without special tokens leaves out: decoded, they must still be the text of one.</summary>
    public IReadOnlySet<int> Skipped { get; }

    /// <summary>The added token of an id, or null.</summary>
    public AddedToken? Token(int id) => _byId.GetValueOrDefault(id);

    /// <summary>The id of an added token, or null.</summary>
    public int? Id(string content) => _ids.TryGetValue(content, out var id) ? id : null;

    /// <summary>Cuts a text at its added tokens and normalises what lies between them.</summary>
    /// <param name="text">The original, well-formed.</param>
    /// <param name="normalizer">The normalizer, or null.</param>
    /// <param name="tracks">Whether offsets will be asked for.</param>
    /// <param name="specialAsText">Whether special tokens are not looked for.</param>
    /// <param name="pool">Where texts come from.</param>
    public PreTokenized Cut(string text, Normalizer? normalizer, bool tracks, bool specialAsText, TextPool pool)
    {
        var result = pool.Rent(tracks, 0);
        var pieces = new List<Piece>();
        var last = 0;
        for (var from = 0; _raw.Next(text, from, last, specialAsText, out var match); from = match.Next)
        {
            AddNormalized(text, last, match.Start, normalizer, specialAsText, result, pieces, pool);
            AddToken(result, pieces, text.AsSpan(match.Start, match.End - match.Start), match);
            last = match.End;
        }
        AddNormalized(text, last, text.Length, normalizer, specialAsText, result, pieces, pool);
        return new PreTokenized(result, pieces);
    }

    private static void AddToken(AlignedText result, List<Piece> pieces, ReadOnlySpan<char> text, AddedTokenMatch match)
    {
        var start = result.Length;
        result.AppendOriginal(text, match.Start);
        pieces.Add(new Piece(start, result.Length, match.Id, match.Start));
    }

    private void AddNormalized(
        string text, int start, int end, Normalizer? normalizer, bool specialAsText, AlignedText result, List<Piece> pieces,
        TextPool pool)
    {
        if (start >= end) return;
        var part = pool.Rent(result.Tracks, start);
        part.AppendOriginal(text.AsSpan(start, end - start), start);
        if (normalizer is not null) part = normalizer.Apply(part, pool);
        var shift = result.Length;
        result.Append(part, 0, part.Length);
        var last = 0;
        for (var from = 0; _normalized.Next(part.Chars, from, last, specialAsText, out var match); from = match.Next)
        {
            if (match.Start > last) pieces.Add(new Piece(shift + last, shift + match.Start, -1, Origin(part, last)));
            pieces.Add(new Piece(shift + match.Start, shift + match.End, match.Id, Origin(part, match.Start)));
            last = match.End;
        }
        if (part.Length > last) pieces.Add(new Piece(shift + last, shift + part.Length, -1, Origin(part, last)));
        pool.Return(part);
    }

    private static int Origin(AlignedText part, int at) =>
        part.Tracks ? part.Start(at) : at == 0 ? part.Origin : Math.Max(1, part.Origin);
}

/// <summary>A match: units [Start, End), white space that it strips included; the search goes on at Next.</summary>
internal readonly record struct AddedTokenMatch(int Id, int Start, int End, int Next);
