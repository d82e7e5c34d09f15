// A tokenizer's JSON files as the merge rewrites them. Damage is reported with file and field, before any weight is read.

using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;

namespace PeftAlign.Merging;

internal static class TokenizerJson
{
    /// <summary>The object that a file holds.</summary>
    /// <exception cref="UserErrorException">It cannot be read, or holds none.</exception>
    public static JsonObject Read(string file)
    {
        try
        {
            if (JsonNode.Parse(File.ReadAllText(file)) is JsonObject json)
            {
                _ = json.Count; // looks for keys that come twice
                return json;
            }
        }
        catch (Exception e) when (e is JsonException or ArgumentException or IOException or UnauthorizedAccessException)
        {
            throw new UserErrorException($"{file} cannot be read as JSON ({e.Message.ReplaceLineEndings(" ").TrimEnd('.')}); copy the file again.", e);
        }
        throw new UserErrorException($"{file} holds no JSON object; copy the file again.");
    }

    /// <summary>A token's id.</summary>
    /// <exception cref="UserErrorException">It is no whole number from 0.</exception>
    public static long Id(string file, string field, JsonNode? node) => node is JsonValue value && value.TryGetValue<long>(out var id) && id >= 0 ? id : throw Wrong(file, field, node, "a whole number from 0");

    /// <summary>A token's text.</summary>
    /// <exception cref="UserErrorException">It is none.</exception>
    public static string Text(string file, string field, JsonNode? node) => node is JsonValue value && value.TryGetValue<string>(out var text) ? text : throw Wrong(file, field, node, "a text");

    private static UserErrorException Wrong(string file, string field, JsonNode? node, string wanted) =>
        new($"{file}: {field} is {(node?.ToJsonString() is { } text ? text[..Math.Min(text.Length, 60)] : "null")}; it must be {wanted}. Copy the file again.");
}
