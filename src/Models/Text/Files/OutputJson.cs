// Reads the fields post_processor and decoder of tokenizer.json.
using PeftAlign.Models.Text.Decoders;
using PeftAlign.Models.Text.PostProcessors;
using PeftAlign.Models.Text.PreTokenizers;

namespace PeftAlign.Models.Text.Files;

/// <summary>The post_processor part of tokenizer.json.</summary>
internal static class PostProcessorJson
{
    private const string Known = "Sequence, TemplateProcessing, BertProcessing, RobertaProcessing, ByteLevel";

    /// <summary>Reads a post-processor.</summary>
    public static PostProcessor Read(JsonField field)
    {
        var type = field.Get("type").Text();
        return type switch
        {
            "Sequence" => new SequencePostProcessor([.. field.Get("processors").Items().Select(Read)]),
            "TemplateProcessing" => ReadTemplate(field),
            "BertProcessing" => new AroundPostProcessor(Pair(field.Get("cls")), Pair(field.Get("sep")), isRoberta: false),
            "RobertaProcessing" => new SequencePostProcessor([
                new ByteLevelPostProcessor(field.Flag("trim_offsets", true), field.Flag("add_prefix_space", true)),
                new AroundPostProcessor(Pair(field.Get("cls")), Pair(field.Get("sep")), isRoberta: true)]),
            "ByteLevel" => new ByteLevelPostProcessor(field.Flag("trim_offsets", true), field.Flag("add_prefix_space", true)),
            _ => throw TokenizerJson.UnknownType(field, type, Known),
        };
    }

    private static TemplatePostProcessor ReadTemplate(JsonField field)
    {
        var special = field.Find("special_tokens");
        return new TemplatePostProcessor(ReadParts(field, "single", special, 1), ReadParts(field, "pair", special, 2));
    }

    private static List<TemplatePart> ReadParts(JsonField field, string name, JsonField? special, int texts) =>
        field.Find(name) is { } parts ? [.. parts.Items().Select(part => ReadPart(part, special, texts))]
            : [.. Enumerable.Range(0, texts).Select(text => TemplatePart.OfText(text, text))];

    private static TemplatePart ReadPart(JsonField part, JsonField? special, int texts)
    {
        if (part.Find("Sequence") is { } text)
        {
            var index = text.Get("id").Text() switch
            {
                "A" => 0,
                "B" => 1,
                var other => throw text.Error($"the text '{other}' is unknown; it is A or B"),
            };
            if (index >= texts) throw text.Error("B has no place in the template of a single text");
            return TemplatePart.OfText(index, text.Find("type_id")?.Count() ?? 0);
        }
        var token = part.Get("SpecialToken");
        var name = token.Get("id").Text();
        if (special?.Find(name) is not { } entry) throw token.Error($"the special token '{name}' is not among special_tokens");
        var ids = entry.Get("ids").Items().Select(id => id.Count(Models.Vocabulary.MaxId)).ToList();
        var tokens = entry.Get("tokens").Items().Select(t => t.Text()).ToList();
        if (ids.Count != tokens.Count) throw entry.Error($"has {ids.Count} ids but {tokens.Count} tokens");
        return new TemplatePart(-1, token.Find("type_id")?.Count() ?? 0, [.. ids.Zip(tokens)]);
    }

    private static (string, int) Pair(JsonField field)
    {
        var items = field.Items().ToList();
        return items.Count == 2 ? (items[0].Text(), items[1].Count(Models.Vocabulary.MaxId)) : throw field.Error("must be a token and its id");
    }
}

/// <summary>The decoder part of tokenizer.json.</summary>
internal static class DecoderJson
{
    private const string Known = "Sequence, ByteLevel, ByteFallback, Fuse, Replace, Strip, Metaspace, WordPiece, BPEDecoder, CTC";

    /// <summary>Reads a decoder.</summary>
    public static Decoder Read(JsonField field)
    {
        var type = field.Get("type").Text();
        return type switch
        {
            "Sequence" => new SequenceDecoder([.. field.Get("decoders").Items().Select(Read)]),
            "ByteLevel" => new ByteLevelDecoder(),
            "ByteFallback" => new ByteFallbackDecoder(),
            "Fuse" => new FuseDecoder(),
            "Replace" => new ReplaceDecoder(PatternJson.Read(field.Get("pattern")), field.Get("content").Text()),
            "Strip" => new StripDecoder(
                char.ConvertFromUtf32(PreTokenizerJson.OneCharacter(field.Get("content"))), Limit(field, "start"),
                Limit(field, "stop")),
            "Metaspace" => new MetaspaceDecoder(PreTokenizerJson.Replacement(field),
                PreTokenizerJson.Scheme(field) != PrependScheme.Never),
            "WordPiece" => new WordPieceDecoder(field.Text("prefix", "##"), field.Flag("cleanup", true)),
            "BPEDecoder" => new BpeSuffixDecoder(field.Text("suffix", "</w>")),
            "CTC" => new CtcDecoder(field.Text("pad_token", "<pad>"), field.Text("word_delimiter_token", "|"),
                field.Flag("cleanup", true)),
            _ => throw TokenizerJson.UnknownType(field, type, Known),
        };
    }

    private static int Limit(JsonField field, string name) => field.Find(name)?.Count() ?? 0;
}
