// Typed reading of adapter_config.json's values. A value of the wrong type is an error that names key and value.

using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;

namespace PeftAlign.Models.Adapters;

/// <summary>Values of adapter_config.json; a key that is absent or null gives the standard.</summary>
public static class AdapterConfig
{
    /// <summary>A whole number from 1.</summary>
    /// <exception cref="UserErrorException">It is something else.</exception>
    public static int Size(this JsonObject config, string key, int standard) =>
        Node(config, key) is not { } node ? standard : node is JsonValue v && v.GetValueKind() == JsonValueKind.Number && Number(v) is >= 1 and <= int.MaxValue and var number && number == Math.Floor(number) ? (int)number : throw Wrong(key, node, "a whole number from 1");

    /// <summary>A number.</summary>
    /// <exception cref="UserErrorException">It is something else.</exception>
    public static double Number(this JsonObject config, string key, double standard) =>
        Node(config, key) is not { } node ? standard : node is JsonValue v && v.GetValueKind() == JsonValueKind.Number ? Number(v) : throw Wrong(key, node, "a number");

    /// <summary>A truth value.</summary>
    /// <exception cref="UserErrorException">It is something else.</exception>
    public static bool Flag(this JsonObject config, string key, bool standard = false) => Node(config, key) switch
    {
        null => standard,
        { } node when node.GetValueKind() is JsonValueKind.True or JsonValueKind.False => node.GetValue<bool>(),
        { } node => throw Wrong(key, node, "true or false"),
    };

    /// <summary>A text.</summary>
    /// <exception cref="UserErrorException">It is something else.</exception>
    public static string? Text(this JsonObject config, string key) => Node(config, key) switch
    {
        null => null,
        { } node when node.GetValueKind() == JsonValueKind.String => node.GetValue<string>(),
        { } node => throw Wrong(key, node, "a text"),
    };

    /// <summary>A list of texts, or one text as a list of one; empty where absent.</summary>
    /// <exception cref="UserErrorException">It is something else.</exception>
    public static IReadOnlyList<string> Texts(this JsonObject config, string key) => Node(config, key) switch
    {
        null => [],
        JsonArray array when array.All(e => e?.GetValueKind() == JsonValueKind.String) => [.. array.Select(e => e!.GetValue<string>())],
        { } node when node.GetValueKind() == JsonValueKind.String => [node.GetValue<string>()],
        { } node => throw Wrong(key, node, "a list of texts"),
    };

    /// <summary>A list of whole numbers, or one as a list of one; empty where absent.</summary>
    /// <exception cref="UserErrorException">It is something else, or beyond 32 bits.</exception>
    public static IReadOnlyList<int> Wholes(this JsonObject config, string key) =>
        [.. config.LongWholes(key).Select(number => number is >= int.MinValue and <= int.MaxValue ? (int)number : throw Wrong(key, number, "whole numbers of 32 bits"))];

    /// <summary>A list of whole numbers, or one as a list of one; empty where absent.</summary>
    /// <exception cref="UserErrorException">It is something else.</exception>
    public static IReadOnlyList<long> LongWholes(this JsonObject config, string key) => Node(config, key) switch
    {
        null => [],
        JsonArray array => [.. array.Select(e => Whole(key, e))],
        { } node => [Whole(key, node)],
    };

    /// <summary>Numbers by name, in the file's order; empty where absent.</summary>
    /// <exception cref="UserErrorException">It is something else.</exception>
    public static IReadOnlyList<KeyValuePair<string, double>> Numbers(this JsonObject config, string key) => Node(config, key) switch
    {
        null => [],
        JsonObject map when map.All(e => e.Value?.GetValueKind() == JsonValueKind.Number) => [.. map.Select(e => KeyValuePair.Create(e.Key, Number((JsonValue)e.Value!)))],
        { } node => throw Wrong(key, node, "numbers by name"),
    };

    /// <summary>The error for a value that an adapter cannot take.</summary>
    /// <param name="key">The key.</param>
    /// <param name="value">Its value.</param>
    /// <param name="wanted">Ends the sentence "it must be ...".</param>
    public static UserErrorException Wrong(string key, JsonNode? value, string wanted) =>
        new($"adapter_config.json: {key} is {value?.ToJsonString() ?? "null"}; it must be {wanted}.");

    // Up to here every whole number is a double.
    private const double WholeLimit = 1L << 53;

    private static JsonNode? Node(JsonObject config, string key) => config.TryGetPropertyValue(key, out var node) ? node : null;

    // Whatever .NET type the node was made of.
    private static double Number(JsonValue value) => JsonSerializer.Deserialize<double>(value);

    private static long Whole(string key, JsonNode? node) =>
        node is JsonValue v && v.GetValueKind() == JsonValueKind.Number && Number(v) is > -WholeLimit and < WholeLimit and var number && number == Math.Floor(number) ? (long)number : throw Wrong(key, node, "whole numbers");
}
