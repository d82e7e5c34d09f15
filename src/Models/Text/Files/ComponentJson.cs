// Reads the fields normalizer and pre_tokenizer of tokenizer.json.
using PeftAlign.Models.Text.Normalizers;
using PeftAlign.Models.Text.Patterns;
using PeftAlign.Models.Text.PreTokenizers;
using PeftAlign.Models.Text.SentencePiece;

namespace PeftAlign.Models.Text.Files;

/// <summary>The normalizer part of tokenizer.json.</summary>
internal static class NormalizerJson
{
    private const string Known =
        "Sequence, NFC, NFD, NFKC, NFKD, Lowercase, StripAccents, Nmt, BertNormalizer, Strip, Prepend, Replace, Precompiled, ByteLevel";

    /// <summary>Reads a normalizer.</summary>
    public static Normalizer Read(JsonField field)
    {
        var type = field.Get("type").Text();
        return type switch
        {
            "Sequence" => new SequenceNormalizer([.. field.Get("normalizers").Items().Select(Read)]),
            "NFC" => new UnicodeFormNormalizer(compatibility: false, compose: true),
            "NFD" => new UnicodeFormNormalizer(compatibility: false, compose: false),
            "NFKC" => new UnicodeFormNormalizer(compatibility: true, compose: true),
            "NFKD" => new UnicodeFormNormalizer(compatibility: true, compose: false),
            "Lowercase" => new LowercaseNormalizer(),
            "StripAccents" => new StripAccentsNormalizer(),
            "Nmt" => BertNormalizer.Nmt(),
            "BertNormalizer" => ReadBert(field),
            "Strip" => new StripNormalizer(field.Flag("strip_left", true), field.Flag("strip_right", true)),
            "Prepend" => new PrependNormalizer(field.Get("prepend").Text()),
            "Replace" => new ReplaceNormalizer(PatternJson.Read(field.Get("pattern")), field.Get("content").Text()),
            "Precompiled" => ReadPrecompiled(field),
            "ByteLevel" => new ByteLevelNormalizer(),
            _ => throw TokenizerJson.UnknownType(field, type, Known),
        };
    }

    private static BertNormalizer ReadBert(JsonField field)
    {
        var lowercase = field.Flag("lowercase", true);
        return new BertNormalizer(
            field.Flag("clean_text", true), field.Flag("handle_chinese_chars", true),
            field.Flag("strip_accents", lowercase), lowercase);
    }

    private static Normalizer ReadPrecompiled(JsonField field)
    {
        if (field.Find("precompiled_charsmap") is not { } map || map.Text() == "") return new SequenceNormalizer([]);
        return new PrecompiledNormalizer(map.Guard(() => CharsMap.Parse(Convert.FromBase64String(map.Text()))));
    }
}

/// <summary>The pre_tokenizer part of tokenizer.json.</summary>
internal static class PreTokenizerJson
{
    private const string Known = "Sequence, ByteLevel, Metaspace, Split, Whitespace, WhitespaceSplit, BertPreTokenizer, "
        + "Punctuation, Digits, CharDelimiterSplit, UnicodeScripts, FixedLength";

    private static readonly (string, SplitBehavior)[] Behaviors =
        [.. Enum.GetValues<SplitBehavior>().Select(behavior => (behavior.ToString(), behavior))];

    /// <summary>Reads a pre-tokenizer.</summary>
    public static PreTokenizer Read(JsonField field)
    {
        var type = field.Get("type").Text();
        return type switch
        {
            "Sequence" => new SequencePreTokenizer([.. field.Get("pretokenizers").Items().Select(Read)]),
            "ByteLevel" => new ByteLevelPreTokenizer(field.Flag("add_prefix_space", true), field.Flag("use_regex", true)),
            "Metaspace" => ReadMetaspace(field),
            "Split" => new SplitPreTokenizer(
                PatternJson.Read(field.Get("pattern")), TokenizerJson.Choice(field, "behavior", "", Behaviors),
                field.Flag("invert", false)),
            "Whitespace" => WordPreTokenizers.Whitespace(),
            "WhitespaceSplit" => WordPreTokenizers.WhitespaceSplit(),
            "BertPreTokenizer" => WordPreTokenizers.Bert(),
            "Punctuation" => WordPreTokenizers.Punctuation(TokenizerJson.Choice(field, "behavior", "Isolated", Behaviors)),
            "Digits" => WordPreTokenizers.Digits(field.Flag("individual_digits", false)),
            "CharDelimiterSplit" => WordPreTokenizers.CharDelimiter(OneCharacter(field.Get("delimiter"))),
            "UnicodeScripts" => new UnicodeScriptsPreTokenizer(),
            "FixedLength" => new FixedLengthPreTokenizer(PositiveLength(field)),
            _ => throw TokenizerJson.UnknownType(field, type, Known),
        };
    }

    private static MetaspacePreTokenizer ReadMetaspace(JsonField field) =>
        new(Replacement(field), Scheme(field), field.Flag("split", true));

    /// <summary>The scheme of a Metaspace; add_prefix_space is its older form.</summary>
    public static PrependScheme Scheme(JsonField field)
    {
        var old = field.Flag("add_prefix_space", true) ? "always" : "never";
        return TokenizerJson.Choice(
            field, "prepend_scheme", old, ("always", PrependScheme.Always), ("first", PrependScheme.First),
            ("never", PrependScheme.Never));
    }

    /// <summary>The replacement of a Metaspace.</summary>
    public static char Replacement(JsonField field)
    {
        var text = field.Text("replacement", "\u2581");
        return text.Length == 1 ? text[0] : throw field.Get("replacement").Error("must be one character of the basic plane");
    }

    /// <summary>A string of one code point.</summary>
    public static int OneCharacter(JsonField field)
    {
        var position = 0;
        var text = field.Text();
        var point = text.Length == 0 ? 0 : Unicode.CodePoints.Next(text, ref position);
        return text.Length > 0 && position == text.Length ? point : throw field.Error("must be one character");
    }

    private static int PositiveLength(JsonField field) =>
        field.Find("length") is not { } length ? 5
        : length.Count() is var count and > 0 ? count
        : throw length.Error("must be at least 1");
}

/// <summary>A pattern: {"String": text} or {"Regex": expression}.</summary>
internal static class PatternJson
{
    /// <summary>Reads a pattern.</summary>
    public static Pattern Read(JsonField field)
    {
        if (field.Find("String") is { } text) return new LiteralPattern(text.Text());
        var regex = field.Get("Regex");
        try
        {
            return RegexPattern.For(regex.Text());
        }
        catch (FormatException e)
        {
            throw regex.Error($"the regular expression '{regex.Text()}' is not valid: {e.Message}");
        }
    }
}
