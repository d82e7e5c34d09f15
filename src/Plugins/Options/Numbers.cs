// Numbers in JSON nodes, whatever .NET type the node was made of; JSON has no infinity, so "inf" stands for it.

using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace PeftAlign.Plugins;

internal static class Numbers
{
    public static double? Double(JsonNode node)
    {
        if (node is JsonValue plain && plain.TryGetValue<double>(out var direct)) return double.IsNaN(direct) ? null : direct;
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

    /// <summary>A whole number; 1e3 and 2.0 are whole.</summary>
    public static long? Long(JsonNode node)
    {
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
