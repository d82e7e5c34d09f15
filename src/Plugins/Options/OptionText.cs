// Options from a command line: flags are text, their types are the schema's.

using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace PeftAlign.Plugins;

/// <summary>Turns the text of a flag into the value that a manifest would hold.</summary>
public static class OptionText
{
    /// <summary>The value. A text that does not fit the type stays a text, about which <see cref="OptionsSchema.Check"/> complains.</summary>
    /// <param name="type">The option's type.</param>
    /// <param name="text">Scalars as in a manifest; lists as a,b or JSON; maps as a=1,b=2 or JSON; null for nothing.</param>
    public static JsonNode? Parse(OptionType type, string text)
    {
        if (type.Nullable && text == "null") return null;
        return type.Kind switch
        {
            OptionKind.List => text.StartsWith('[') && Json(text) is JsonArray array ? array : new JsonArray([.. Parts(text).Select(part => Parse(type.Element!, part))]),
            OptionKind.Map => text.StartsWith('{') && Json(text) is JsonObject map ? map : Map(type, text),
            OptionKind.Json => Json(text) ?? JsonValue.Create(text),
            _ => Scalar(type.Kind, text),
        };
    }

    private static JsonValue Scalar(OptionKind kind, string text) => kind switch
    {
        OptionKind.Bool when text is "true" or "false" => JsonValue.Create(text == "true"),
        OptionKind.Int or OptionKind.Long when long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var whole) => JsonValue.Create(whole),
        OptionKind.Int or OptionKind.Long or OptionKind.Double when double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var number) && double.IsFinite(number) => JsonValue.Create(number),
        _ => JsonValue.Create(text),
    };

    private static JsonNode Map(OptionType type, string text)
    {
        var map = new JsonObject();
        foreach (var part in Parts(text))
        {
            var equals = part.IndexOf('=');
            if (equals <= 0) return JsonValue.Create(text);
            map[part[..equals]] = Parse(type.Element!, part[(equals + 1)..]);
        }
        return map;
    }

    private static string[] Parts(string text) => text.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);

    private static JsonNode? Json(string text)
    {
        try
        {
            return JsonNode.Parse(text);
        }
        catch (JsonException)
        {
            return null;
        }
    }
}
