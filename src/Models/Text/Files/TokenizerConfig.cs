// tokenizer_config.json, special_tokens_map.json and added_tokens.json: what the `transformers` library keeps beside a tokenizer.
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
    public bool? Lowercase { get; init; }
    public bool? StripAccents { get; init; }
    public bool? SplitsChinese { get; init; }
    public bool SplitsSpecialTokens { get; init; }
    public bool CleansUp { get; init; }
    public bool CleansUpBpe { get; init; }
    public TokenRoles Roles { get; init; } = new();
    public NamedTokens Named { get; init; } = new();

    /// <summary>added_tokens_decoder; null where it is not there.</summary>
    public IReadOnlyList<AddedToken>? Decoder { get; init; }

    /// <summary>added_tokens.json, of older folders.</summary>
    public IReadOnlyList<AddedToken> Older { get; init; } = [];

    /// <summary>Reads what a folder has of the three files, as `transformers` does: a configuration with added_tokens_decoder says
    /// all, and without one the two older files count beside it.</summary>
    public static TokenizerConfig Read(string folder) => ReadFile(folder, "tokenizer_config.json", root =>
    {
        var config = root is { } found ? ReadConfig(found) : None;
        if (config.Decoder is not null) return config.WithNames(NamedTokens.Read(root, null));
        var named = ReadFile(folder, "special_tokens_map.json", map => NamedTokens.Read(root, map));
        return config.WithNames(named) with
        {
            Older = ReadFile(folder, "added_tokens.json", added => added is { } list ? ReadAddedTokens(list, named) : []),
        };
    });

    private TokenizerConfig WithNames(NamedTokens named) => this with
    {
        Named = named,
        Roles = new TokenRoles(named.Role("bos_token"), named.Role("eos_token"), named.Role("unk_token"), named.Role("pad_token")),
    };

    /// <summary>The parts with these settings, roles and added tokens: tokens that the parts lack are added, tokens with a role
    /// are special, and of a token that both know the flags of added_tokens_decoder count.</summary>
    public TokenizerParts Apply(TokenizerParts parts)
    {
        var tokens = parts.AddedTokens.ToDictionary(token => token.Content);
        var ids = tokens.Values.Select(token => token.Id).ToHashSet();
        var next = Math.Max(parts.Model.Vocabulary.Size, ids.Select(id => id + 1).DefaultIfEmpty(0).Max());
        foreach (var token in (Decoder ?? []).OrderBy(token => token.Id))
            // What is special stays so: transformers adds the token again, and adding takes nothing back.
            if (tokens.TryGetValue(token.Content, out var own)) tokens[token.Content] = token with { Id = own.Id, Special = own.Special || token.Special };
            else Add(token);
        foreach (var token in Older.Where(token => !tokens.ContainsKey(token.Content)).OrderBy(token => token.Id)) Add(token);
        // sentencepiece's own reading does not look for special tokens in the text: they stay ids only.
        var isNative = parts.SpecialIds.Count > 0;
        if (!isNative)
            foreach (var token in Named.InOrder.Where(token => !tokens.ContainsKey(token.Content))) Add(token);
        var result = ApplyRoles(parts with
        {
            AddedTokens = [.. tokens.Values.OrderBy(token => token.Id)],
            SpecialTokensAsText = SplitsSpecialTokens,
            // transformers 5 leaves BPE out, whose blanks are the text's own.
            CleansUp = CleansUp && (CleansUpBpe || parts.Model is not (BpeModel or SentencePieceBpe)),
        });
        if (isNative) return result;
        foreach (var content in Named.Roles.Select(role => role.Value.Content).Union(result.Roles.Tokens))
        {
            // What only the tokenizer itself says beside a decoder is not added again, and keeps its flags.
            if (tokens.TryGetValue(content, out var token)) tokens[content] = token with { Special = token.Special || Decoder is null || Decoder.Any(other => other.Content == content) };
            else if (parts.Model.Vocabulary.Id(content) is var id and >= 0)
                tokens[content] = new AddedToken(id, content) { Special = true };
        }
        return result with { AddedTokens = [.. tokens.Values.OrderBy(token => token.Id)] };

        // A token that the model's vocabulary has keeps its id there; another one gets the next, as in transformers, whatever id a
        // file gives it. One that belongs to another token is refused all the same: such a file is of another model.
        void Add(AddedToken token)
        {
            var known = parts.Model.Vocabulary.Id(token.Content);
            var isTaken = known < 0 && (ids.Contains(token.Id) || parts.Model.Vocabulary.Token(token.Id) is not null);
            var id = known >= 0 ? known : next;
            if (isTaken || !ids.Add(id))
                throw new TokenizerException($"tokenizer_config.json or added_tokens.json: the id {(isTaken ? token.Id : id)} of '{token.Content}' belongs to another token");
            tokens[token.Content] = token with { Id = id };
            next = Math.Max(next, id + 1);
        }
    }

    /// <summary>The parts with these roles.</summary>
    public TokenizerParts ApplyRoles(TokenizerParts parts) => parts with { Roles = Roles.Or(parts.Roles) };

    // Null is given for a file that is not there.
    private static T ReadFile<T>(string folder, string name, Func<JsonField?, T> read)
    {
        var path = Path.Combine(folder, name);
        if (!File.Exists(path)) return read(null);
        var root = JsonField.Read(path, out var document);
        using (document) return read(root.Object());
    }

    private static TokenizerConfig ReadConfig(JsonField root) => new()
    {
        ClassName = root.Find("tokenizer_class")?.Text(),
        AddBos = Flag(root, "add_bos_token"),
        AddEos = Flag(root, "add_eos_token"),
        AddPrefixSpace = Flag(root, "add_prefix_space"),
        Legacy = Flag(root, "legacy"),
        Lowercase = Flag(root, "do_lower_case"),
        StripAccents = Flag(root, "strip_accents"),
        SplitsChinese = Flag(root, "tokenize_chinese_chars"),
        SplitsSpecialTokens = root.Flag("split_special_tokens", false),
        CleansUp = root.Flag("clean_up_tokenization_spaces", false),
        CleansUpBpe = root.Flag("clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output", false),
        Decoder = root.Find("added_tokens_decoder") is { } decoder ? ReadDecoder(decoder) : null,
    };

    private static bool? Flag(JsonField root, string name) => root.Find(name) is null ? null : root.Flag(name, false);

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

    private static List<AddedToken> ReadAddedTokens(JsonField root, NamedTokens named) => root.Guard(() => ModelJson.Entries(root)
        .Select(entry => (Id: entry.Value, Content: entry.Key, Special: named.MakesSpecial(entry.Key)))
        .Select(entry => new AddedToken(entry.Id, entry.Content) { Special = entry.Special, Normalized = !entry.Special }).ToList());
}
