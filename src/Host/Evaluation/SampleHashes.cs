// Hashes of a sample as lm-evaluation-harness writes them, by which its tools find one item in several files: SHA-256 of the document
// as Python's json.dumps prints it (indent 2, no escapes beyond JSON's own), of the prompt, and of the target as Python's str prints it.

using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Models.Templates;

namespace PeftAlign.Host.Evaluation;

internal static class SampleHashes
{
    private static readonly TextTemplate Value = new("value", "{{ value }}");

    /// <summary>Of an item's document.</summary>
    internal static string OfDocument(JsonNode document)
    {
        var text = new StringBuilder();
        Append(text, document, 0);
        return Of(text.ToString());
    }

    /// <summary>Of a target: a text, or what Python prints for it; None where there is none.</summary>
    internal static string OfTarget(JsonNode? target) => Of(Printed(target));

    internal static string Of(string text) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)));

    private static string Printed(JsonNode? node) => node is JsonValue value && value.TryGetValue<string>(out var text) ? text : Value.Render(new JsonObject { ["value"] = node?.DeepClone() });

    private static void Append(StringBuilder text, JsonNode? node, int depth)
    {
        switch (node)
        {
            case null: text.Append("null"); break;
            case JsonObject map:
                All(text, '{', map, (name, entry) => Append(Quoted(name, entry.Key).Append(": "), entry.Value, depth + 1), '}', depth);
                break;
            case JsonArray list:
                All(text, '[', list, (item, one) => Append(item, one, depth + 1), ']', depth);
                break;
            default:
                if (node.GetValueKind() == JsonValueKind.String) Quoted(text, (string)node!);
                else text.Append(Number(node));
                break;
        }
    }

    private static void All<T>(StringBuilder text, char open, ICollection<T> items, Action<StringBuilder, T> append, char close, int depth)
    {
        text.Append(open);
        var isFirst = true;
        foreach (var item in items)
        {
            text.Append(isFirst ? "\n" : ",\n").Append(' ', 2 * (depth + 1));
            append(text, item);
            isFirst = false;
        }
        if (!isFirst) text.Append('\n').Append(' ', 2 * depth);
        text.Append(close);
    }

    // Truth values and whole numbers are JSON's own words; floating-point numbers are Python's.
    private static string Number(JsonNode node) => node.ToJsonString() is var json && node.GetValueKind() == JsonValueKind.Number && json.AsSpan().ContainsAny(".eE") ? Printed(node) : json;

    private static StringBuilder Quoted(StringBuilder text, string value)
    {
        text.Append('"');
        foreach (var c in value)
            if ("\"\\\b\f\n\r\t".IndexOf(c) is >= 0 and var known) text.Append('\\').Append("\"\\bfnrt"[known]);
            else if (c < ' ') text.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:x4}");
            else text.Append(c);
        return text.Append('"');
    }
}
