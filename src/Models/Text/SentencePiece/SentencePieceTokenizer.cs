// A sentencepiece model as a tokenizer: by itself (ids as sentencepiece gives them; special tokens in the text are ordinary
// text), or converted to what the `tokenizers` library computes (the layouts of published tokenizer.json files).
using PeftAlign.Models.Text.Decoders;
using PeftAlign.Models.Text.Files;
using PeftAlign.Models.Text.Models;
using PeftAlign.Models.Text.Normalizers;
using PeftAlign.Models.Text.Patterns;
using PeftAlign.Models.Text.PostProcessors;
using PeftAlign.Models.Text.PreTokenizers;

namespace PeftAlign.Models.Text.SentencePiece;

/// <summary>Which published layout a conversion follows.</summary>
internal enum SentencePieceLayout
{
    /// <summary>LLaMA 1 and 2, Mistral: Prepend and Replace; a space goes before the text behind every special token.</summary>
    Legacy,

    /// <summary>legacy=false: Metaspace; a space goes before the start of the text only.</summary>
    NonLegacy,

    /// <summary>add_prefix_space=false: no space is put before anything.</summary>
    NoPrefix,

    /// <summary>The general conversion (T5, XLM-R): Precompiled, Strip right, runs of spaces to U+2581, Metaspace.</summary>
    Generic,

    /// <summary>DeBERTa-v2 and v3: Strip, Precompiled, runs of spaces to one, Metaspace.</summary>
    Deberta,
}

/// <summary>Makes the parts of a tokenizer out of a model file.</summary>
internal static class SentencePieceTokenizer
{
    private const string Space = "\u2581";

    /// <summary>sentencepiece itself. Begin and end tokens are added where asked for.</summary>
    public static TokenizerParts Native(SentencePieceFile file, bool addBos = false, bool addEos = false)
    {
        var vocabulary = VocabularyOf(file);
        return new TokenizerParts
        {
            Model = file.IsBpe ? new SentencePieceBpe(file, vocabulary) : NativeUnigram(file, vocabulary),
            Normalizer = new SentencePieceNormalizer(file),
            PostProcessor = Wrapper(file, addBos, addEos),
            Decoder = new SentencePieceDecoder(file),
            Roles = Roles(file),
            SpecialIds =
                [.. file.Pieces.Index().Where(p => p.Item.Type is PieceType.Control or PieceType.Unknown).Select(p => p.Index)],
        };
    }

    /// <summary>The same vocabulary in a layout of the `tokenizers` library.</summary>
    public static TokenizerParts Convert(
        SentencePieceFile file, SentencePieceLayout layout, bool addBos, bool addEos, bool unigramByteFallback = false)
    {
        var vocabulary = VocabularyOf(file);
        var isPlain = layout is SentencePieceLayout.Legacy or SentencePieceLayout.NonLegacy or SentencePieceLayout.NoPrefix;
        return new TokenizerParts
        {
            Model = file.IsBpe ? ConvertedBpe(file, vocabulary, isPlain)
                : ConvertedUnigram(file, vocabulary, unigramByteFallback),
            Normalizer = NormalizerOf(file, layout),
            PreTokenizer = layout switch
            {
                SentencePieceLayout.Legacy => null,
                SentencePieceLayout.NonLegacy => new MetaspacePreTokenizer(Space[0], PrependScheme.First, split: false),
                SentencePieceLayout.NoPrefix => new MetaspacePreTokenizer(Space[0], PrependScheme.Never, split: false),
                _ => new MetaspacePreTokenizer(Space[0], PrependScheme.Always, split: true),
            },
            PostProcessor = Wrapper(file, addBos, addEos),
            Decoder = isPlain ? PlainDecoder(layout) : new MetaspaceDecoder(Space[0], dropsFirst: true),
            AddedTokens = AddedTokens(file, withUnknown: isPlain),
            Roles = Roles(file),
        };
    }

    /// <summary>The merges of a conversion: each cut of a piece into two pieces, by descending score of the piece, length of the
    /// left and length of the right part (in code points).</summary>
    public static List<(string Left, string Right)> Merges(SentencePieceFile file)
    {
        var scores = file.Pieces.GroupBy(piece => piece.Text).ToDictionary(group => group.Key, group => group.Last().Score);
        var merges = new List<(string Left, string Right, float Score, int LeftLength, int RightLength)>();
        foreach (var (text, score) in scores)
        {
            for (var cut = 1; cut < text.Length; cut++)
            {
                var (left, right) = (text[..cut], text[cut..]);
                if (char.IsLowSurrogate(text[cut]) || !scores.ContainsKey(left) || !scores.ContainsKey(right)) continue;
                merges.Add((left, right, score, Unicode.CodePoints.Count(left), Unicode.CodePoints.Count(right)));
            }
        }
        return [.. merges.OrderByDescending(m => m.Score).ThenByDescending(m => m.LeftLength).ThenByDescending(m => m.RightLength)
            .Select(m => (m.Left, m.Right))];
    }

    private static Vocabulary VocabularyOf(SentencePieceFile file) =>
        // Where an ordinary and a reserved piece have the same text, the reserved one is found by it.
        new([.. file.Pieces.Index().OrderBy(piece => !piece.Item.IsOrdinary)
            .Select(piece => KeyValuePair.Create(piece.Item.Text, piece.Index))]);

    private static UnigramModel NativeUnigram(SentencePieceFile file, Vocabulary vocabulary) => new(
        vocabulary,
        [.. file.Pieces.Select(piece => (double)piece.Score)],
        [.. file.Pieces.Select(piece => piece.Type switch
        {
            PieceType.Normal => UnigramKind.Normal,
            PieceType.UserDefined => UnigramKind.Always,
            _ => UnigramKind.Never,
        })],
        file.UnknownId, file.ByteFallback, singlePrecision: true);

    private static UnigramModel ConvertedUnigram(SentencePieceFile file, Vocabulary vocabulary, bool byteFallback) =>
        new(vocabulary, [.. file.Pieces.Select(piece => (double)piece.Score)], null, file.UnknownId, byteFallback,
            singlePrecision: false);

    private static BpeModel ConvertedBpe(SentencePieceFile file, Vocabulary vocabulary, bool byteFallback) => new(
        vocabulary, ModelJson.Merges(vocabulary, Merges(file)),
        new BpeOptions { UnknownId = file.UnknownId, FuseUnk = true, ByteFallback = byteFallback });

    private static Normalizer? NormalizerOf(SentencePieceFile file, SentencePieceLayout layout)
    {
        var map = file.CharsMap is null ? [] : new Normalizer[] { new PrecompiledNormalizer(file.CharsMap) };
        return layout switch
        {
            SentencePieceLayout.Legacy =>
                new SequenceNormalizer([new PrependNormalizer(Space), new ReplaceNormalizer(new LiteralPattern(" "), Space)]),
            SentencePieceLayout.Generic => new SequenceNormalizer(
                [.. map, new StripNormalizer(left: false, right: true), new ReplaceNormalizer(RegexPattern.For(" {2,}"), Space)]),
            SentencePieceLayout.Deberta => new SequenceNormalizer(
                [new StripNormalizer(left: true, right: true), .. map, new ReplaceNormalizer(RegexPattern.For(" {2,}"), " ")]),
            _ => null,
        };
    }

    private static SequenceDecoder PlainDecoder(SentencePieceLayout layout)
    {
        List<Decoder> steps = [new ReplaceDecoder(new LiteralPattern(Space), " "), new ByteFallbackDecoder(), new FuseDecoder()];
        if (layout != SentencePieceLayout.NoPrefix) steps.Add(new StripDecoder(" ", 1, 0));
        return new SequenceDecoder(steps);
    }

    private static TemplatePostProcessor? Wrapper(SentencePieceFile file, bool addBos, bool addEos)
    {
        if (!addBos && !addEos) return null;
        (string Text, int Id)[] before = addBos && file.Bos is { } bos ? [(file.Pieces[bos].Text, bos)] : [];
        (string Text, int Id)[] after = addEos && file.Eos is { } eos ? [(file.Pieces[eos].Text, eos)] : [];
        List<TemplatePart> Around(int text) =>
        [
            .. before.Select(token => TemplatePart.OfToken(token.Text, token.Id, text)),
            TemplatePart.OfText(text, text),
            .. after.Select(token => TemplatePart.OfToken(token.Text, token.Id, text)),
        ];
        return new TemplatePostProcessor(Around(0), [.. Around(0), .. Around(1)]);
    }

    private static List<AddedToken> AddedTokens(SentencePieceFile file, bool withUnknown) =>
    [
        .. file.Pieces.Index()
            .Where(p => p.Item.Type is PieceType.Control or PieceType.UserDefined
                || (withUnknown && p.Item.Type == PieceType.Unknown))
            .Select(p => new AddedToken(p.Index, p.Item.Text) { Special = p.Item.Type != PieceType.UserDefined }),
    ];

    private static TokenRoles Roles(SentencePieceFile file) => new(
        file.Bos is { } bos ? file.Pieces[bos].Text : null,
        file.Eos is { } eos ? file.Pieces[eos].Text : null,
        file.Pieces[file.UnknownId].Text,
        file.Pad is { } pad ? file.Pieces[pad].Text : null);
}
