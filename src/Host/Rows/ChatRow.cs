// A row with a conversation: the arguments of transformers' apply_chat_template by their names; every other field is a variable
// of the template. {messages}, or the conversation that {prompt} of a data set holds (TRL's conversational rows), which {completion} goes on with.

using System.Globalization;
using System.Text.Json;
using PeftAlign.Abstractions;

namespace PeftAlign.Host.Rows;

/// <summary>What a row asks a chat template for.</summary>
/// <param name="Messages">The conversation.</param>
/// <param name="Arguments">What else the template sees.</param>
/// <param name="MaxLength">Ids that are kept where the row has truncation; else null.</param>
internal sealed record ChatRow(IReadOnlyList<ChatMessage> Messages, ChatTemplateArguments Arguments, int? MaxLength)
{
    private static readonly string[] Names =
        ["messages", "add_generation_prompt", "continue_final_message", "tools", "documents", "now", "truncation", "max_length"];

    // What a row with a prompt of messages holds beside them, for trainings.
    private static readonly string[] Answers = ["prompt", "completion", "chosen", "rejected", "label"];

    /// <summary>Whether the row is a conversation.</summary>
    /// <param name="row">The row.</param>
    public static bool IsIn(Row row) => row.Find("messages") is not null || HasPrompt(row);

    /// <summary>Whether its conversation is a prompt.</summary>
    /// <param name="row">The row.</param>
    public static bool HasPrompt(Row row) => row.Find("messages") is null && row.Find("prompt") is { ValueKind: JsonValueKind.Array };

    /// <summary>Reads a row's conversation; of a prompt that ends with the assistant, which goes on there unless the row says otherwise.</summary>
    /// <param name="row">Must stay alive as long as the result.</param>
    /// <param name="addGenerationPrompt">What holds for a row that does not say.</param>
    /// <exception cref="UserError">A field is missing or of another type.</exception>
    public static ChatRow Of(Row row, bool addGenerationPrompt)
    {
        var asked = HasPrompt(row);
        var list = row.List(asked ? "prompt" : "messages") ?? throw row.Fault("has no \"messages\"", "give a list of objects with role and content");
        List<ChatMessage> messages = [.. list.EnumerateArray().Select(message => new ChatMessage(message))];
        var goesOn = asked && addGenerationPrompt && row.Flag("add_generation_prompt") is null && messages is [.., var last] && IsAssistant(last);
        var arguments = new ChatTemplateArguments
        {
            AddGenerationPrompt = row.Flag("add_generation_prompt") ?? (addGenerationPrompt && !goesOn),
            ContinueFinalMessage = row.Flag("continue_final_message") ?? goesOn,
            Tools = row.List("tools"),
            Documents = row.List("documents"),
            Now = Time(row),
            Variables = row.Fields.EnumerateObject().Where(field => !Names.Contains(field.Name) && !(asked && Answers.Contains(field.Name))).ToDictionary(field => field.Name, field => field.Value),
        };
        return new ChatRow(messages, arguments, Length(row));
    }

    /// <summary>The whole conversation of a row: of a prompt with the one message of its completion.</summary>
    /// <param name="row">As in Of.</param>
    /// <exception cref="UserError">As in Of; or the prompt is not followed by one message.</exception>
    public static ChatRow Whole(Row row)
    {
        var chat = Of(row, addGenerationPrompt: false);
        if (!HasPrompt(row)) return chat;
        return row.Find("completion") is { ValueKind: JsonValueKind.Array } list && list.GetArrayLength() == 1
            ? chat with { Messages = [.. chat.Messages, new ChatMessage(list[0])] }
            : throw row.Fault("has a \"prompt\" of messages, and no \"completion\" of one message", "give both as lists of messages, or the conversation as \"messages\"");
    }

    /// <summary>Whether the assistant says it.</summary>
    /// <param name="message">A message.</param>
    public static bool IsAssistant(ChatMessage message) =>
        message.Fields.ValueKind == JsonValueKind.Object && message.Fields.TryGetProperty("role", out var role)
        && role.ValueKind == JsonValueKind.String && role.GetString() == "assistant";

    /// <summary>A time as it is written (ISO 8601), whatever its zone: what a clock on the wall shows.</summary>
    private static DateTime? Time(Row row)
    {
        if (row.Text("now") is not { } text) return null;
        if (DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var time)) return time.DateTime;
        throw row.Fault($"\"now\" is '{text}'", "give a time like 2024-07-26T09:05:03");
    }

    private static int? Length(Row row)
    {
        var (cut, length) = (row.Flag("truncation") ?? false, row.Number("max_length", least: 1));
        if (cut && length is null) throw row.Fault("\"truncation\" needs \"max_length\"", "give the number of ids to keep");
        if (!cut && length is not null) throw row.Fault("\"max_length\" alone cuts nothing", "add \"truncation\": true, or leave it out");
        return length;
    }
}
