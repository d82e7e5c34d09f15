// Numbers in JSON nodes, whatever .NET type the node was made of; JSON has no infinity, so "inf" stands for it.

using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace PeftAlign.Plugins;

internal static class Numbers
{
    public static double? Double(JsonNode node)
    {
        if (node is JsonValue outside && OutsideJson(outside) is { } number) return double.IsNaN(number) ? null : number;
        if (node is JsonValue plain && plain.TryGetValue<double>(out var direct)) return direct; // 1e400: infinite
        return node.GetValueKind() switch
        {
            JsonValueKind.Number => double.Parse(node.ToJsonString(), NumberStyles.Float, CultureInfo.InvariantCulture),
            JsonValueKind.String => node.GetValue<string>() switch
            {
                "inf" => double.PositiveInfinity,
                "-inf" => double.NegativeInfinity,
                _ => null,
            },
            _ => null,
        };
    }

    /// <summary>NaN or an infinity that is held as a number, which JSON has none of: neither has it a kind nor a text there. Null for every other value.</summary>
    public static double? OutsideJson(JsonValue value) =>
        value.TryGetValue<JsonElement>(out _) ? null // 1e400 was read from a text, and has one
        : value.TryGetValue<double>(out var wide) && !double.IsFinite(wide) ? wide
        : value.TryGetValue<float>(out var narrow) && !float.IsFinite(narrow) ? narrow
        : null;

    /// <summary>A whole number; 1e3 and 2.0 are whole.</summary>
    public static long? Long(JsonNode node)
    {
        if (node is JsonValue value && OutsideJson(value) is not null) return null;
        if (node.GetValueKind() != JsonValueKind.Number) return null;
        if (Double(node) is not { } number || double.IsInfinity(number)) return null;
        if (long.TryParse(node.ToJsonString(), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var exact)) return exact;
        return number == Math.Floor(number) && Math.Abs(number) <= 1L << 53 ? (long)number : null;
    }

    public static string Show(double number) => number.ToString("R", CultureInfo.InvariantCulture);

    public static JsonNode ToJson(double number) => number switch
    {
        double.PositiveInfinity => JsonValue.Create("inf"),
        double.NegativeInfinity => JsonValue.Create("-inf"),
        _ => JsonValue.Create(number),
    };
}
