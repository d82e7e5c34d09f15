// Numbers in JSON, which has no word for infinity and NaN: those are written as text, as metrics.jsonl does.

using System.Text.Json.Nodes;

namespace PeftAlign.Host.Jobs;

internal static class JsonNumber
{
    internal static JsonNode Of(double value) => double.IsFinite(value) ? value : value.ToString(System.Globalization.CultureInfo.InvariantCulture);

    /// <summary>What <see cref="Of"/> wrote.</summary>
    internal static double Value(JsonNode? node) => node!.GetValueKind() == System.Text.Json.JsonValueKind.String ? double.Parse((string)node!, System.Globalization.CultureInfo.InvariantCulture) : (double)node!;
}
