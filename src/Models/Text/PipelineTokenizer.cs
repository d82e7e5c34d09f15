// The tokenizer that tokenizer.json describes: added tokens, normalizer, pre-tokenizer, model, post-processor, decoder.
using System.Collections.Concurrent;
using PeftAlign.Abstractions;
using PeftAlign.Models.Text.Decoders;
using PeftAlign.Models.Text.Models;
using PeftAlign.Models.Text.PostProcessors;
using PeftAlign.Models.Text.PreTokenizers;
using PeftAlign.Models.Text.Unicode;

namespace PeftAlign.Models.Text;

/// <summary>Runs <see cref="TokenizerParts"/>. Safe for several threads: each call borrows a scratch of its own.</summary>
internal sealed class PipelineTokenizer : ITokenizer, ITokenizerDetails
{
    // The file's own truncation and padding are a batch's; transformers switches them off too, unless a call asks for them.
    private static readonly EncodeOptions Whole = new() { Truncation = TruncationOptions.Off, Padding = PaddingOptions.Off };

    private readonly TokenizerParts _parts;
    private readonly AddedVocabulary _added;
    private readonly PiecePlan _plan;
    private readonly TokenTextDecoder _decoder;
    private readonly HashSet<int> _skipped;
    private readonly int[]? _before, _after;
    private readonly ConcurrentBag<Scratch> _scratches = [];

    public PipelineTokenizer(TokenizerParts parts)
    {
        _parts = parts;
        _added = new AddedVocabulary(parts.AddedTokens, parts.Normalizer);
        _plan = PiecePlan.For(parts);
        VocabularySize = Math.Max(parts.Model.Vocabulary.Size,
            parts.AddedTokens.Select(token => token.Id + 1).DefaultIfEmpty(0).Max());
        SpecialTokens = new SpecialTokenIds(
            RoleId(parts.Roles.Bos), RoleId(parts.Roles.Eos), RoleId(parts.Roles.Unk) ?? parts.Model.UnknownId,
            RoleId(parts.Roles.Pad),
            parts.AddedTokens.Where(token => token.Special).Select(token => token.Id).Concat(parts.SpecialIds).ToHashSet());
        _decoder = TokenTextDecoder.For(
            parts.Decoder, VocabularySize, id => _added.Decoded.GetValueOrDefault(id) ?? parts.Model.Vocabulary.Token(id));
        _skipped = [.. _added.Skipped, .. parts.SpecialIds, .. Copies(parts)];
        (_before, _after) = Wrapper(parts.PostProcessor);
    }

    public int VocabularySize { get; }

    public SpecialTokenIds SpecialTokens { get; }

    public IReadOnlyList<int> EncodeToIds(string text, bool addSpecialTokens = true)
    {
        if (NeedsRows(addSpecialTokens)) return Encode(text, null, Whole).Ids;
        return WithTokens(text, tokens =>
        {
            var (before, after) = addSpecialTokens ? (_before!, _after!) : ([], []);
            var ids = new int[before.Length + tokens.Count + after.Length];
            before.CopyTo(ids, 0);
            var at = before.Length;
            foreach (ref readonly var token in tokens.Items) ids[at++] = token.Id;
            after.CopyTo(ids, at);
            return ids;
        });
    }

    public int CountTokens(string text, bool addSpecialTokens = true)
    {
        if (NeedsRows(addSpecialTokens)) return EncodeToIds(text, addSpecialTokens).Count;
        return WithTokens(text, tokens => tokens.Count + (addSpecialTokens ? _before!.Length + _after!.Length : 0));
    }

    public string Decode(IEnumerable<int> ids, bool skipSpecialTokens = false)
    {
        var text = _decoder.Decode(skipSpecialTokens ? ids.Where(id => !_skipped.Contains(id)) : ids);
        return _parts.CleansUp ? SpaceCleanUp.Apply(text) : text;
    }

    public EncodedText Encode(string text, string? pair = null, EncodeOptions? options = null) =>
        EncodeBatch([(text, pair)], options)[0];

    public IReadOnlyList<EncodedText> EncodeBatch(
        IReadOnlyList<(string Text, string? Pair)> inputs, EncodeOptions? options = null)
    {
        options ??= new EncodeOptions();
        var rows = inputs.Select(input => EncodeOne(input.Text, input.Pair, options)).ToList();
        Pad(rows, options.Padding ?? _parts.Padding);
        return [.. rows.Select(row => row.Finish())];
    }

    public string? IdToToken(int id) => _added.Token(id)?.Content ?? _parts.Model.Vocabulary.Token(id);

    public int? TokenToId(string token)
    {
        if (_added.Id(token) is { } id) return id;
        return _parts.Model.Vocabulary.Id(token) is var found and >= 0 ? found : null;
    }

    public ITokenStream CreateStream(bool skipSpecialTokens = false) => new TokenStream(this, skipSpecialTokens, _parts.CleansUp);

    // A Unigram's list may hold a piece twice; decoding goes by the text, so that both are special.
    private IEnumerable<int> Copies(TokenizerParts parts)
    {
        if (parts.Model is not UnigramModel) return [];
        var special = parts.AddedTokens.Where(token => token.Special).Select(token => token.Content).ToHashSet();
        return Enumerable.Range(0, parts.Model.Vocabulary.Size)
            .Where(id => !_added.Decoded.ContainsKey(id) && parts.Model.Vocabulary.Token(id) is { } text && special.Contains(text));
    }

    private int? RoleId(string? token) => token is null ? null : TokenToId(token);

    // Whether ids come out of the long way, since more than a fixed wrapper is put around them.
    private bool NeedsRows(bool addSpecialTokens) => addSpecialTokens && _before is null;

    private static (int[]?, int[]?) Wrapper(PostProcessor? processor)
    {
        if (processor is SequencePostProcessor sequence)
        {
            var steps = sequence.Steps.Where(step => step is not ByteLevelPostProcessor).ToList();
            if (steps.Count > 1) return (null, null);
            processor = steps.FirstOrDefault();
        }
        if (processor is null or ByteLevelPostProcessor) return ([], []);
        return processor.IsWrapper(out var before, out var after) ? (before, after) : (null, null);
    }

    private T WithTokens<T>(string text, Func<TokenList, T> use)
    {
        var scratch = _scratches.TryTake(out var free) ? free : new Scratch();
        try
        {
            scratch.Tokens.Cut(0);
            var pieces = _added.Cut(
                CodePoints.WellFormed(text), _parts.Normalizer, _plan.NeedsOrigins, _parts.SpecialTokensAsText, scratch.Pool);
            _plan.Tokenize(pieces, scratch.Tokens, scratch.Model, scratch.Pool);
            scratch.Pool.Return(pieces.Text);
            return use(scratch.Tokens);
        }
        finally
        {
            _scratches.Add(scratch);
        }
    }

    private EncodedRow EncodeOne(string text, string? pair, EncodeOptions options)
    {
        var rows = new List<EncodedRow> { Tokenize(text, 0, options) };
        if (pair is not null) rows.Add(Tokenize(pair, 1, options));
        var special = options.AddSpecialTokens ? _parts.PostProcessor?.AddedTokens(pair is not null) ?? 0 : 0;
        if ((options.Truncation ?? _parts.Truncation) is { } truncation) rows = Truncation.Apply(rows, truncation, special);
        if (_parts.PostProcessor is { } processor) rows = processor.Process(rows, options.AddSpecialTokens);
        var result = new EncodedRow();
        foreach (var row in rows)
        {
            if (result.Count == 0 && result.Overflowing.Count == 0) result = row;
            else result.Append(row);
        }
        return result;
    }

    private EncodedRow Tokenize(string text, int type, EncodeOptions options)
    {
        text = CodePoints.WellFormed(text);
        var scratch = _scratches.TryTake(out var free) ? free : new Scratch();
        try
        {
            var pieces = _added.Cut(text, _parts.Normalizer, tracks: true, options.SpecialTokensAsText ?? _parts.SpecialTokensAsText, scratch.Pool);
            _parts.PreTokenizer?.Apply(pieces, scratch.Pool);
            var row = new EncodedRow();
            var points = CodePoints.OffsetsByUnit(text);
            for (var word = 0; word < pieces.Pieces.Count; word++)
            {
                var piece = pieces.Pieces[word];
                scratch.Tokens.Cut(0);
                if (piece.Id >= 0) scratch.Tokens.Add(piece.Id, 0, piece.End - piece.Start);
                else _parts.Model.Tokenize(pieces.Text.Chars[piece.Start..piece.End], scratch.Tokens, scratch.Model);
                foreach (ref readonly var token in scratch.Tokens.Items)
                    AddToken(row, pieces.Text, piece, token, points, word, type);
            }
            scratch.Pool.Return(pieces.Text);
            return row;
        }
        finally
        {
            _scratches.Add(scratch);
        }
    }

    private void AddToken(
        EncodedRow row, AlignedText text, Piece piece, in TokenList.Token token, int[]? points, int word, int type)
    {
        var (start, end) = (piece.Start + token.Start, piece.Start + token.End);
        var shown = piece.Id >= 0 ? text.Chars[start..end].ToString() : _parts.Model.Show(token.Id, text.Chars[start..end]);
        var offset = end > start ? (text.Start(start), text.End(end - 1)) : (piece.Origin, piece.Origin);
        if (points is not null) offset = (points[offset.Item1], points[offset.Item2]);
        row.Add(token.Id, shown, offset, word, type, 0);
    }

    private static void Pad(List<EncodedRow> rows, PaddingOptions? padding)
    {
        if (padding is null || rows.Count == 0 || padding == PaddingOptions.Off) return;
        var length = padding.Length ?? rows.Max(row => row.Count);
        if (padding.MultipleOf is { } multiple and > 0) length = (length + multiple - 1) / multiple * multiple;
        foreach (var row in rows) row.Pad(length, padding);
    }

    private sealed class Scratch
    {
        public TextPool Pool { get; } = new();
        public TokenList Tokens { get; } = new();
        public ModelScratch Model { get; } = new();
    }
}
