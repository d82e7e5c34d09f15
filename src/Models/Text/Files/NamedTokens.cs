// Tokens that tokenizer_config.json and special_tokens_map.json name: those with a role (bos_token, mask_token, a model's own
// image_token ...) and lists of further special ones. The `transformers` library adds those that a tokenizer lacks.
using System.Text.Json;

namespace PeftAlign.Models.Text.Files;

/// <summary>What one of the two files names. Ids are not given there: all are -1.</summary>
internal sealed record NamedTokens
{
    private static readonly string[] Standard =
        ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

    private IReadOnlyDictionary<string, AddedToken> Roles { get; init; } = new Dictionary<string, AddedToken>();
    private IReadOnlyList<AddedToken> Own { get; init; } = [];
    private IReadOnlyList<AddedToken>? Additional { get; init; }
    private IReadOnlyList<AddedToken>? Extra { get; init; }

    /// <summary>The tokens in the order in which they are added, each once.</summary>
    public IEnumerable<AddedToken> InOrder
    {
        get
        {
            // extra_special_tokens is transformers 5's name for additional_special_tokens.
            var further = Extra is { Count: > 0 } ? Extra : Additional ?? [];
            return Standard.Where(Roles.ContainsKey).Select(role => Roles[role]).Concat(Own).Concat(further)
                .Where(token => token.Content != "").DistinctBy(token => token.Content);
        }
    }

    /// <summary>Reads a file.</summary>
    public static NamedTokens Read(JsonField root)
    {
        var roles = root.Value.EnumerateObject().Select(property => property.Name)
            .Where(name => name.EndsWith("_token", StringComparison.Ordinal) && IsToken(root.Value.GetProperty(name))).Distinct().ToList();
        var extra = root.Find("extra_special_tokens");
        var named = extra is { Value.ValueKind: JsonValueKind.Object } group
            ? group.Value.EnumerateObject().Select(property => group.Get(property.Name)) : [];
        return new NamedTokens
        {
            Roles = roles.Where(Standard.Contains).ToDictionary(role => role, role => Token(root.Get(role), role: true)),
            Own = [.. roles.Where(role => !Standard.Contains(role)).Select(root.Get).Concat(named).Select(field => Token(field, role: true))],
            Additional = List(root.Find("additional_special_tokens")),
            Extra = extra is { Value.ValueKind: JsonValueKind.Object } ? null : List(extra),
        };
    }

    /// <summary>These tokens, and what <paramref name="other"/> names beside them.</summary>
    public NamedTokens And(NamedTokens other) => new()
    {
        Roles = Roles.Concat(other.Roles.Where(role => !Roles.ContainsKey(role.Key))).ToDictionary(role => role.Key, role => role.Value),
        Own = [.. Own, .. other.Own],
        Additional = Additional ?? (Extra is null ? other.Additional : null),
        Extra = other.Extra is null ? Extra : [.. Extra is { Count: > 0 } ? Extra : Additional ?? [], .. other.Extra],
    };

    // Flags such as add_bos_token end alike.
    private static bool IsToken(JsonElement value) =>
        value.ValueKind == JsonValueKind.String || (value.ValueKind == JsonValueKind.Object && value.TryGetProperty("content", out _));

    private static List<AddedToken>? List(JsonField? field) => field?.Items().Select(item => Token(item, role: false)).ToList();

    // A bare text is special, and found before texts are normalised.
    private static AddedToken Token(JsonField field, bool role)
    {
        if (field.Value.ValueKind != JsonValueKind.Object) return new AddedToken(-1, field.Text()) { Special = true };
        var token = AddedTokenJson.Read(field, -1);
        return role ? token with { Special = true } : token;
    }
}

/// <summary>An added token as the `transformers` library writes it.</summary>
internal static class AddedTokenJson
{
    /// <summary>Reads content and flags.</summary>
    public static AddedToken Read(JsonField field, int id)
    {
        var special = field.Flag("special", false);
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
