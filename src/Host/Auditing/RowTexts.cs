// All texts of a row, at any depth: prompts, answers, the words of messages; ids of tokens as what they stand for.

using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;

namespace PeftAlign.Host.Auditing;

internal static class RowTexts
{
    /// <summary>The texts of a value, in its order.</summary>
    /// <param name="row">The value.</param>
    /// <param name="tokenizer">Decodes lists of ids; null where a list of whole numbers is none.</param>
    internal static IEnumerable<string> Of(JsonNode? row, ITokenizer? tokenizer) => row switch
    {
        JsonObject fields => fields.SelectMany(field => field.Value is JsonArray list && tokenizer is not null && field.Key.EndsWith("_ids", StringComparison.Ordinal) && Ids(list) is { } ids ? [tokenizer.Decode(ids)] : Of(field.Value, tokenizer)),
        JsonArray list => list.SelectMany(item => Of(item, tokenizer)),
        JsonValue value when value.GetValueKind() == JsonValueKind.String => [value.GetValue<string>()],
        _ => [],
    };

    private static int[]? Ids(JsonArray list) =>
        list.All(item => item is JsonValue value && value.TryGetValue<int>(out _)) ? [.. list.Select(item => item!.GetValue<int>())] : null;
}
