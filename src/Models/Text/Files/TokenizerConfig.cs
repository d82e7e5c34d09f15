// tokenizer_config.json, special_tokens_map.json and added_tokens.json: what the `transformers` library keeps beside a tokenizer.
using System.Text.Json;
using PeftAlign.Models.Text.Models;
using PeftAlign.Models.Text.SentencePiece;

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
    public bool SplitsSpecialTokens { get; init; }
    public bool CleansUp { get; init; }
    public bool CleansUpBpe { get; init; }
    public TokenRoles Roles { get; init; } = new();
    public NamedTokens Named { get; init; } = new();

    /// <summary>added_tokens_decoder; null where it is not there.</summary>
    public IReadOnlyList<AddedToken>? Decoder { get; init; }

    /// <summary>added_tokens.json, of older folders.</summary>
    public IReadOnlyList<AddedToken> Older { get; init; } = [];

    /// <summary>Reads what a folder has of the three files.</summary>
    public static TokenizerConfig Read(string folder)
    {
        var config = ReadFile(folder, "tokenizer_config.json", ReadConfig) ?? None;
        var map = ReadFile(folder, "special_tokens_map.json", root => (Roles: ReadRoles(root), Named: NamedTokens.Read(root)));
        var (older, known) = (ReadFile(folder, "added_tokens.json", ReadAddedTokens) ?? [], config.Decoder ?? []);
        // A folder with the decoder says all in the configuration; an older one shares it between the files.
        var named = config.Decoder is null && map.Named is not null ? config.Named.And(map.Named) : config.Named;
        var special = named.InOrder.Select(token => token.Content).ToHashSet();
        return config with
        {
            Roles = config.Roles.Or(map.Roles ?? new TokenRoles()),
            Named = named,
            Older = [.. older.Where(token => known.All(other => other.Content != token.Content))
                .Select(token => token with { Special = special.Contains(token.Content), Normalized = !special.Contains(token.Content) })],
        };
    }

    /// <summary>The parts with these settings, roles and added tokens: tokens that the parts lack are added, tokens with a role
    /// are special, and of a token that both know the flags of added_tokens_decoder count.</summary>
    public TokenizerParts Apply(TokenizerParts parts)
    {
        var tokens = parts.AddedTokens.ToDictionary(token => token.Content);
        var ids = tokens.Values.Select(token => token.Id).ToHashSet();
        foreach (var token in Decoder ?? [])
            // What is special stays so: transformers adds the token again, and adding takes nothing back.
            if (tokens.TryGetValue(token.Content, out var own)) tokens[token.Content] = token with { Id = own.Id, Special = own.Special || token.Special };
            else Add(parts, token, tokens, ids);
        foreach (var token in Older.Where(token => !tokens.ContainsKey(token.Content))) Add(parts, token, tokens, ids);
        // sentencepiece's own reading does not look for special tokens in the text: they stay ids only.
        var isNative = parts.SpecialIds.Count > 0;
        if (!isNative)
            foreach (var token in Named.InOrder.Where(token => !tokens.ContainsKey(token.Content)))
                Add(parts, token with { Id = Math.Max(parts.Model.Vocabulary.Size, ids.Select(id => id + 1).DefaultIfEmpty(0).Max()) }, tokens, ids);
        var result = ApplyRoles(parts with
        {
            AddedTokens = [.. tokens.Values.OrderBy(token => token.Id)],
            SpecialTokensAsText = SplitsSpecialTokens,
            // transformers 5 leaves BPE out, whose blanks are the text's own.
            CleansUp = CleansUp && (CleansUpBpe || parts.Model is not (BpeModel or SentencePieceBpe)),
        });
        if (isNative) return result;
        foreach (var content in result.Roles.Tokens)
        {
            if (tokens.TryGetValue(content, out var token)) tokens[content] = token with { Special = true };
            else if (parts.Model.Vocabulary.Id(content) is var id and >= 0)
                tokens[content] = new AddedToken(id, content) { Special = true };
        }
        return result with { AddedTokens = [.. tokens.Values.OrderBy(token => token.Id)] };
    }

    // A token that the model's vocabulary has keeps its id there.
    private static void Add(TokenizerParts parts, AddedToken token, Dictionary<string, AddedToken> tokens, HashSet<int> ids)
    {
        var known = parts.Model.Vocabulary.Id(token.Content);
        var id = known >= 0 ? known : token.Id;
        if (!ids.Add(id) || (known < 0 && parts.Model.Vocabulary.Token(id) is not null))
            throw new TokenizerException($"tokenizer_config.json or added_tokens.json: the id {id} of '{token.Content}' belongs to another token");
        tokens[token.Content] = token with { Id = id };
    }

    /// <summary>The parts with these roles.</summary>
    public TokenizerParts ApplyRoles(TokenizerParts parts) => parts with { Roles = Roles.Or(parts.Roles) };

    private static T? ReadFile<T>(string folder, string name, Func<JsonField, T> read)
    {
        var path = Path.Combine(folder, name);
        if (!File.Exists(path)) return default;
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
        SplitsSpecialTokens = root.Flag("split_special_tokens", false),
        CleansUp = root.Flag("clean_up_tokenization_spaces", false),
        CleansUpBpe = root.Flag("clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output", false),
        Roles = ReadRoles(root),
        Named = NamedTokens.Read(root),
        Decoder = root.Find("added_tokens_decoder") is { } decoder ? ReadDecoder(decoder) : null,
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
                || id is < 0 or > Vocabulary.MaxId)
                throw decoder.Error($"'{property.Name}' is not an id");
            tokens.Add(AddedTokenJson.Read(decoder.Get(property.Name), id));
        }
        return tokens;
    }

    private static List<AddedToken> ReadAddedTokens(JsonField root) =>
        root.Guard(() => ModelJson.Entries(root).Select(entry => new AddedToken(entry.Value, entry.Key)).ToList());
}
