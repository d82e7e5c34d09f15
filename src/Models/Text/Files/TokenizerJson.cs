// Reads tokenizer.json, the file format of the `tokenizers` library (version "1.0"): the frame; parts are in files of their own.
using PeftAlign.Abstractions;

namespace PeftAlign.Models.Text.Files;

/// <summary>tokenizer.json to <see cref="TokenizerParts"/>.</summary>
internal static class TokenizerJson
{
    private const int MaxPadding = 1 << 20;

    /// <summary>Reads a file.</summary>
    public static TokenizerParts Read(string file)
    {
        var root = JsonField.Read(file, out var document);
        using (document) return Read(root);
    }

    /// <summary>Whether a JSON file has the form of tokenizer.json, rather than of a bare vocabulary.</summary>
    public static bool IsTokenizer(JsonField root) =>
        root.Value.ValueKind == System.Text.Json.JsonValueKind.Object && root.Value.TryGetProperty("model", out var model)
        && model.ValueKind == System.Text.Json.JsonValueKind.Object;

    /// <summary>Reads a parsed file.</summary>
    public static TokenizerParts Read(JsonField root)
    {
        var model = ModelJson.Read(root.Get("model"));
        var normalizer = root.Find("normalizer") is { } n ? NormalizerJson.Read(n) : null;
        var tokens = root.Find("added_tokens") is { } list ? ReadAddedTokens(list, model) : [];
        return new TokenizerParts
        {
            Model = model,
            Normalizer = normalizer,
            PreTokenizer = root.Find("pre_tokenizer") is { } p ? PreTokenizerJson.Read(p) : null,
            PostProcessor = root.Find("post_processor") is { } o ? PostProcessorJson.Read(o) : null,
            Decoder = root.Find("decoder") is { } d ? DecoderJson.Read(d) : null,
            AddedTokens = tokens,
            Truncation = root.Find("truncation") is { } t ? ReadTruncation(t) : null,
            Padding = root.Find("padding") is { } a ? ReadPadding(a) : null,
        };
    }

    // A content that comes again replaces the one before; an id can have one content only.
    private static List<AddedToken> ReadAddedTokens(JsonField list, Models.TokenModel model)
    {
        var (byContent, byId) = (new Dictionary<string, AddedToken>(), new Dictionary<int, AddedToken>());
        foreach (var item in list.Items())
        {
            var token = ReadAddedToken(item, model);
            if (byId.TryGetValue(token.Id, out var other) && other.Content != token.Content)
                throw item.Error($"'{other.Content}' and '{token.Content}' have the same id {token.Id}; give each its own");
            (byContent[token.Content], byId[token.Id]) = (token, token);
        }
        return [.. byContent.Values];
    }

    // A token of the model's vocabulary keeps its id there, whatever the list says.
    private static AddedToken ReadAddedToken(JsonField field, Models.TokenModel model)
    {
        var content = field.Get("content").Text();
        if (content == "") throw field.Error("an added token must not be empty");
        var known = model.Vocabulary.Id(content);
        var special = field.Flag("special", false);
        return new AddedToken(known >= 0 ? known : field.Get("id").Count(Models.Vocabulary.MaxId), content)
        {
            SingleWord = field.Flag("single_word", false),
            LStrip = field.Flag("lstrip", false),
            RStrip = field.Flag("rstrip", false),
            Normalized = field.Flag("normalized", !special),
            Special = special,
        };
    }

    private static TruncationOptions ReadTruncation(JsonField field) => new(
        field.Get("max_length").Count(),
        field.Find("stride")?.Count() ?? 0,
        Choice(field, "strategy", "LongestFirst", ("LongestFirst", "longest_first"), ("OnlyFirst", "only_first"),
            ("OnlySecond", "only_second")),
        Choice(field, "direction", "Right", ("Right", ""), ("Left", "left")) != "");

    private static PaddingOptions ReadPadding(JsonField field)
    {
        // "BatchLongest" or {"Fixed": n}
        var strategy = field.Find("strategy");
        int? length = null;
        if (strategy is { Value.ValueKind: System.Text.Json.JsonValueKind.Object } wrapped)
            length = wrapped.Get("Fixed").Count(MaxPadding);
        else if (strategy is { } named && named.Text() != "BatchLongest")
            throw named.Error("is unknown; it is \"BatchLongest\" or {\"Fixed\": length}");
        return new PaddingOptions(
            field.Find("pad_id")?.Count() ?? 0,
            field.Text("pad_token", "[PAD]"),
            field.Find("pad_type_id")?.Count() ?? 0,
            length,
            field.Find("pad_to_multiple_of")?.Count(MaxPadding),
            Choice(field, "direction", "Right", ("Right", ""), ("Left", "left")) != "");
    }

    /// <summary>One of a few names.</summary>
    public static T Choice<T>(JsonField field, string name, string otherwise, params (string Name, T Value)[] choices)
    {
        var text = field.Text(name, otherwise);
        foreach (var (choice, value) in choices)
            if (choice == text) return value;
        var names = string.Join(", ", choices.Select(choice => choice.Name));
        throw field.Get(name).Error($"'{text}' is unknown; it is one of {names}");
    }

    /// <summary>The error for a component of unknown type.</summary>
    public static TokenizerException UnknownType(JsonField field, string type, string known) =>
        field.Get("type").Error($"the type '{type}' is unknown; known are {known}");
}
