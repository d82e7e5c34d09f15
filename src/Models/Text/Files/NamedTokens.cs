// Tokens that tokenizer_config.json and special_tokens_map.json name: those with a role (bos_token, mask_token, a model's own
// image_token ...) and lists of further special ones. The `transformers` library adds those that a tokenizer lacks. Where the two
// files differ this follows it to the letter (PreTrainedTokenizerBase._from_pretrained of transformers 5).
using System.Text.Json;

namespace PeftAlign.Models.Text.Files;

/// <summary>What the two files name together. Ids are not given there: all are -1.</summary>
internal sealed record NamedTokens
{
    private const string ExtraName = "extra_special_tokens", OlderName = "additional_special_tokens";

    private static readonly string[] Standard =
        ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

    private IReadOnlySet<string> Counted { get; init; } = new HashSet<string>();
    private IReadOnlyList<AddedToken> Further { get; init; } = [];

    /// <summary>Tokens by role, in the order in which they are added: the standard ones, then the model's own.</summary>
    public IReadOnlyList<KeyValuePair<string, AddedToken>> Roles { get; private init; } = [];

    /// <summary>The tokens in the order in which they are added, each once: what is named again is added again, so that the last
    /// flags count, except that what is special stays so.</summary>
    public IEnumerable<AddedToken> InOrder =>
        Roles.Select(role => role.Value).Concat(Further).Where(token => token.Content != "").GroupBy(token => token.Content)
            .Select(same => same.Last() with { Special = same.Any(token => token.Special) });

    /// <summary>The token of a role, or null.</summary>
    public string? Role(string name) => Roles.FirstOrDefault(role => role.Key == name).Value?.Content;

    /// <summary>Whether a token of added_tokens.json is a special one. transformers compares texts, so that neither objects of
    /// the configuration, nor the model's own roles, nor the older list of the map count.</summary>
    public bool MakesSpecial(string content) => Counted.Contains(content);

    /// <summary>Reads what the files say together.</summary>
    /// <param name="config">tokenizer_config.json; null where it is not there.</param>
    /// <param name="map">special_tokens_map.json; null where it is not there or does not count.</param>
    public static NamedTokens Read(JsonField? config, JsonField? map)
    {
        var counted = new HashSet<string>();
        var further = ReadFurther(config, map, counted, out var groups);
        var (standard, own) = (new Dictionary<string, AddedToken>(), new OrderedDictionary<string, AddedToken>());
        foreach (var name in Standard)
        {
            // A role that the map names is the map's, one that it takes away (null) included.
            var (file, isMap) = Says(map, name) ? (map, true) : (config, false);
            if (file?.Find(name) is not { } field) continue;
            standard[name] = Token(field, isSpecial: true);
            if (isMap || field.Value.ValueKind == JsonValueKind.String) counted.Add(standard[name].Content);
        }
        foreach (var (name, token) in Own(config, map, groups))
            if (Standard.Contains(name)) standard[name] = token;
            else own[name] = token;
        var ordered = Standard.Where(standard.ContainsKey).Select(name => KeyValuePair.Create(name, standard[name]));
        return new NamedTokens { Counted = counted, Further = further, Roles = [.. ordered, .. own] };
    }

    // Objects of the configuration, then the map's; texts of the configuration, and groups with names, win over both.
    private static OrderedDictionary<string, AddedToken> Own(JsonField? config, JsonField? map, List<JsonField> groups)
    {
        var own = new OrderedDictionary<string, AddedToken>();
        foreach (var (name, field) in OwnFields(config, JsonValueKind.Object)) own[name] = Token(field, isSpecial: true);
        foreach (var name in own.Keys.Where(name => Says(map, name)).ToList())
            if (map!.Value.Find(name) is null) own.Remove(name);
        foreach (var (name, field) in OwnFields(map, JsonValueKind.Object, JsonValueKind.String)) own[name] = Token(field, isSpecial: true);
        foreach (var (name, field) in OwnFields(config, JsonValueKind.String)) own[name] = Token(field, isSpecial: true);
        foreach (var group in groups)
            foreach (var property in group.Value.EnumerateObject()) own[property.Name] = Token(group.Get(property.Name), isSpecial: true);
        return own;
    }

    // extra_special_tokens is transformers 5's name for additional_special_tokens; with names in it, it holds roles.
    private static IReadOnlyList<AddedToken> ReadFurther(JsonField? config, JsonField? map, HashSet<string> counted, out List<JsonField> groups)
    {
        groups = [];
        var (extra, older, saysExtra) = (config?.Find(ExtraName), config?.Find(OlderName), Says(config, ExtraName));
        if (Says(config, OlderName) && IsEmpty(extra)) (extra, older, saysExtra) = (older, null, true);
        if (IsGroup(extra)) (groups, extra, saysExtra) = ([extra!.Value], null, false);
        var further = List(extra, isMap: false, counted);
        if (Says(map, OlderName)) older = map!.Value.Find(OlderName);
        if (Says(map, ExtraName))
        {
            var more = map!.Value.Find(ExtraName);
            further = more is null || IsGroup(more) ? [] : [.. further, .. List(more, isMap: true, counted)];
            saysExtra = !IsGroup(more);
            if (IsGroup(more)) groups.Add(more!.Value);
        }
        return saysExtra ? further : List(older, isMap: false, []);
    }

    private static List<AddedToken> List(JsonField? list, bool isMap, HashSet<string> counted)
    {
        var tokens = new List<AddedToken>();
        foreach (var item in list?.Items() ?? [])
        {
            var token = Token(item, isSpecial: isMap);
            tokens.Add(token);
            if (isMap || item.Value.ValueKind == JsonValueKind.String) counted.Add(token.Content);
        }
        return tokens;
    }

    // Flags such as add_bos_token end alike.
    private static List<(string Name, JsonField Field)> OwnFields(JsonField? file, params JsonValueKind[] kinds)
    {
        if (file is not { } root) return [];
        var names = root.Value.EnumerateObject().Select(property => property.Name).Distinct()
            .Where(name => name.EndsWith("_token", StringComparison.Ordinal) && !Standard.Contains(name));
        return [.. names.Where(name => IsToken(root.Value.GetProperty(name), kinds)).Select(name => (name, root.Get(name)))];
    }

    private static bool IsToken(JsonElement value, JsonValueKind[] kinds) =>
        kinds.Contains(value.ValueKind) && (value.ValueKind == JsonValueKind.String || value.TryGetProperty("content", out _));

    private static bool IsGroup(JsonField? field) => field?.Value.ValueKind == JsonValueKind.Object;

    private static bool IsEmpty(JsonField? field) => field is not { } value
        || (value.Value.ValueKind == JsonValueKind.Array && value.Value.GetArrayLength() == 0)
        || (value.Value.ValueKind == JsonValueKind.Object && !value.Value.EnumerateObject().Any());

    // Whether a file has the name at all, if only with null.
    private static bool Says(JsonField? file, string name) => file is { } field && field.Value.TryGetProperty(name, out _);

    // A bare text is special; what is special is found before texts are normalised, unless it says otherwise.
    private static AddedToken Token(JsonField field, bool isSpecial) =>
        field.Value.ValueKind == JsonValueKind.Object ? AddedTokenJson.Read(field, -1, isSpecial)
        : new AddedToken(-1, field.Text()) { Special = true };
}

/// <summary>An added token as the `transformers` library writes it.</summary>
internal static class AddedTokenJson
{
    /// <summary>Reads content and flags.</summary>
    /// <param name="field">The object.</param>
    /// <param name="id">The token's id.</param>
    /// <param name="isSpecial">Whether it is special whatever it says.</param>
    public static AddedToken Read(JsonField field, int id, bool isSpecial = false)
    {
        var special = isSpecial || field.Flag("special", false);
        return new AddedToken(id, field.Get("content").Text())
        {
            SingleWord = field.Flag("single_word", false),
            LStrip = field.Flag("lstrip", false),
            RStrip = field.Flag("rstrip", false),
            Normalized = field.Flag("normalized", !special),
            Special = special,
        };
    }
}
