// Values of a task's or a group's file by their types: what has another one is named, with its value.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;

namespace PeftAlign.Eval.Tasks;

/// <param name="place">What faults begin with: the file, and the task or group in it.</param>
internal class TypedFields(string place)
{
    /// <summary>A truth value, in words.</summary>
    internal const string Truth = "truth value (true or false)";

    /// <summary>What faults begin with.</summary>
    protected string Place => place;

    /// <summary>A value that is a text; null where it is absent.</summary>
    /// <param name="node">It.</param>
    /// <param name="field">What errors call it.</param>
    internal string? Text(JsonNode? node, string field) => node switch
    {
        null => null,
        JsonValue value when value.TryGetValue<string>(out var text) => text,
        _ => throw No("text", field, node),
    };

    /// <summary>A number or a truth value; null where it is absent.</summary>
    /// <param name="node">Its value.</param>
    /// <param name="field">What errors call it.</param>
    /// <param name="kind">What it is in words.</param>
    internal T? Value<T>(JsonNode? node, string field, string kind) where T : struct => node switch
    {
        null => null,
        JsonValue value when value.TryGetValue<T>(out var read) => read,
        _ => throw No(kind, field, node),
    };

    /// <summary>A value that is a list; null where it is absent.</summary>
    /// <param name="node">It.</param>
    /// <param name="field">What errors call it.</param>
    internal JsonArray? List(JsonNode? node, string field) => node is null or JsonArray ? node as JsonArray : throw No("list", field, node);

    /// <summary>A value that is a mapping; null where it is absent.</summary>
    /// <param name="node">It.</param>
    /// <param name="field">What errors call it.</param>
    internal JsonObject? Mapping(JsonNode? node, string field) => node is null or JsonObject ? node as JsonObject : throw No("mapping", field, node);

    /// <summary>A field that is a text or a list of texts; none where it is absent.</summary>
    /// <param name="node">Its value.</param>
    /// <param name="field">What errors call it.</param>
    internal IReadOnlyList<string> Texts(JsonNode? node, string field)
    {
        string One(JsonNode? value) => value is JsonValue single && single.TryGetValue<string>(out var text) ? text : throw No("text", field, value);
        return node switch { null => [], JsonArray several => [.. several.Select(One)], var one => [One(one)] };
    }

    /// <summary>A mistake in the file.</summary>
    internal UserErrorException Fault(string what, string next) => new($"{place}: {what}; {next}.");

    private UserErrorException No(string kind, string field, JsonNode? node) => Fault($"'{field}: {node?.ToJsonString() ?? "null"}' is no {kind}", $"write a {kind}");
}
