// Pairs as conversations: a prompt of messages and two answers; the better one is also the completion, for methods on single
// answers.

using System.Text.Json.Nodes;

namespace PeftAlign.Data;

internal static class Conversations
{
    internal static JsonObject Message(string role, string content) => new() { ["role"] = role, ["content"] = content };

    /// <summary>A prompt in one text and its two answers: as messages for a chat template, or as they are.</summary>
    internal static JsonObject Pair(string format, string prompt, string chosen, string rejected) => format == "messages"
        ? Pair(new JsonArray(Message("user", prompt.Trim())), chosen.Trim(), rejected.Trim())
        : new JsonObject { ["prompt"] = prompt, ["completion"] = chosen, ["chosen"] = chosen, ["rejected"] = rejected };

    internal static JsonObject Pair(JsonArray prompt, string chosen, string rejected) => new()
    {
        ["prompt"] = prompt,
        ["completion"] = new JsonArray(Message("assistant", chosen)),
        ["chosen"] = new JsonArray(Message("assistant", chosen)),
        ["rejected"] = new JsonArray(Message("assistant", rejected)),
    };
}
