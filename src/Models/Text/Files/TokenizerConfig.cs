// tokenizer_config.json, special_tokens_map.json and added_tokens.json: what the `transformers` library keeps beside a tokenizer.
using System.Text.Json;

namespace PeftAlign.Models.Text.Files;

/// <summary>The settings of a folder that matter for ids; null where nothing is said.</summary>
internal sealed record TokenizerConfig
{
    /// <summary>Says nothing.</summary>
    public static readonly TokenizerConfig None = new();

    public string? ClassName { get; init; }
    public bool? AddBos { get; init; }
    public bool? AddEos { get; init; }
    public bool? AddPrefixSpace { get; init; }
    public bool? Legacy { get; init; }
    public TokenRoles Roles { get; init; } = new();
    public IReadOnlyList<AddedToken> AddedTokens { get; init; } = [];

    /// <summary>Reads what a folder has of the three files.</summary>
    public static TokenizerConfig Read(string folder)
    {
        var config = ReadFile(folder, "tokenizer_config.json", ReadConfig) ?? None;
        var map = ReadFile(folder, "special_tokens_map.json", ReadRoles);
        var added = ReadFile(folder, "added_tokens.json", ReadAddedTokens) ?? [];
        var known = config.AddedTokens.Select(token => token.Content).ToHashSet();
        return config with
        {
            Roles = config.Roles.Or(map ?? new TokenRoles()),
            AddedTokens = [.. config.AddedTokens, .. added.Where(token => !known.Contains(token.Content))],
        };
    }

    /// <summary>The parts with these roles and added tokens: tokens that the parts lack are added, tokens with a role are
    /// special.</summary>
    public TokenizerParts Apply(TokenizerParts parts)
    {
        var tokens = parts.AddedTokens.ToDictionary(token => token.Content);
        var ids = tokens.Values.Select(token => token.Id).ToHashSet();
        foreach (var token in AddedTokens)
        {
            var known = parts.Model.Vocabulary.Id(token.Content);
            var id = known >= 0 ? known : token.Id;
            if (tokens.ContainsKey(token.Content)) continue;
            if (!ids.Add(id) || (known < 0 && parts.Model.Vocabulary.Token(id) is not null))
                throw new TokenizerException($"tokenizer_config.json or added_tokens.json: the id {id} of '{token.Content}' belongs to another token");
            tokens[token.Content] = token with { Id = id };
        }
        var result = ApplyRoles(parts with { AddedTokens = [.. tokens.Values.OrderBy(token => token.Id)] });
        // sentencepiece's own reading does not look for special tokens in the text: they stay ids only.
        if (parts.SpecialIds.Count > 0) return result;
        foreach (var content in result.Roles.Tokens)
        {
            if (tokens.TryGetValue(content, out var token)) tokens[content] = token with { Special = true };
            else if (parts.Model.Vocabulary.Id(content) is var id and >= 0)
                tokens[content] = new AddedToken(id, content) { Special = true };
        }
        return result with { AddedTokens = [.. tokens.Values.OrderBy(token => token.Id)] };
    }

    /// <summary>The parts with these roles.</summary>
    public TokenizerParts ApplyRoles(TokenizerParts parts) => parts with { Roles = Roles.Or(parts.Roles) };

    private static T? ReadFile<T>(string folder, string name, Func<JsonField, T> read) where T : class
    {
        var path = Path.Combine(folder, name);
        if (!File.Exists(path)) return null;
        var root = JsonField.Read(path, out var document);
        using (document) return read(root);
    }

    private static TokenizerConfig ReadConfig(JsonField root) => new()
    {
        ClassName = root.Find("tokenizer_class")?.Text(),
        AddBos = Flag(root, "add_bos_token"),
        AddEos = Flag(root, "add_eos_token"),
        AddPrefixSpace = Flag(root, "add_prefix_space"),
        Legacy = Flag(root, "legacy"),
        Roles = ReadRoles(root),
        AddedTokens = root.Find("added_tokens_decoder") is { } decoder ? ReadDecoder(decoder) : [],
    };

    private static bool? Flag(JsonField root, string name) => root.Find(name) is null ? null : root.Flag(name, false);

    private static TokenRoles ReadRoles(JsonField root) =>
        new(Role(root, "bos_token"), Role(root, "eos_token"), Role(root, "unk_token"), Role(root, "pad_token"));

    // A string, or an object with the token's flags.
    private static string? Role(JsonField root, string name)
    {
        if (root.Find(name) is not { } field) return null;
        return field.Value.ValueKind == JsonValueKind.Object ? field.Get("content").Text() : field.Text();
    }

    private static List<AddedToken> ReadDecoder(JsonField decoder)
    {
        var tokens = new List<AddedToken>();
        foreach (var property in decoder.Value.EnumerateObject())
        {
            if (!int.TryParse(property.Name, System.Globalization.CultureInfo.InvariantCulture, out var id)
                || id is < 0 or > Models.Vocabulary.MaxId)
                throw decoder.Error($"'{property.Name}' is not an id");
            var field = decoder.Get(property.Name);
            var special = field.Flag("special", false);
            tokens.Add(new AddedToken(id, field.Get("content").Text())
            {
                SingleWord = field.Flag("single_word", false),
                LStrip = field.Flag("lstrip", false),
                RStrip = field.Flag("rstrip", false),
                Normalized = field.Flag("normalized", !special),
                Special = special,
            });
        }
        return tokens;
    }

    private static List<AddedToken> ReadAddedTokens(JsonField root) =>
        root.Guard(() => ModelJson.Entries(root).Select(entry => new AddedToken(entry.Value, entry.Key)).ToList());
}
