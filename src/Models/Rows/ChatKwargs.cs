// What a row itself gives its chat template: tools, and what chat_template_kwargs holds, which TRL hands to apply_chat_template
// as its arguments. Where Python would get an argument twice, the row is refused.

using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;

namespace PeftAlign.Models.Rows;

/// <summary>Where a rendered conversation is to end.</summary>
internal enum ChatEnd
{
    /// <summary>Behind its last message, or where the row says.</summary>
    Whole,

    /// <summary>Behind the header of the assistant's next message.</summary>
    AnswerNext,

    /// <summary>Inside its last message.</summary>
    Continued,
}

/// <summary>Reads a row's arguments.</summary>
internal static class ChatKwargs
{
    private const string Field = "chat_template_kwargs";
    private const string NewMessage = "add_generation_prompt", LastMessage = "continue_final_message";

    // What TRL gives in every call.
    private static readonly string[] Given = ["messages", "conversation", "conversations", "tokenize", "return_dict", "return_assistant_tokens_mask"];

    // What would change how the text becomes tokens.
    private static readonly string[] Encoding = ["padding", "truncation", "max_length", "return_tensors", "tokenizer_kwargs", "sanitize_control_tokens"];

    private static readonly string[] Lifted = [NewMessage, LastMessage, "tools", "documents", "chat_template", .. Encoding];

    /// <summary>A row's arguments, and the text of a template of its own.</summary>
    /// <param name="record">The row.</param>
    /// <param name="end">Where the text is to end.</param>
    /// <param name="joined">As ORPO and CPO of TRL, which give no tools of a row and say themselves where each text ends.</param>
    /// <exception cref="UserErrorException">An argument is of the wrong kind, or is none that a row may give.</exception>
    internal static (ChatTemplateArguments Arguments, string? Template) Of(DataRecord record, ChatEnd end, bool joined)
    {
        var kwargs = record.Fields[Field] is null ? [] : record.Fields[Field] as JsonObject ?? throw record.Wrong(Field, "an object (a text that holds JSON is not one)");
        foreach (var (name, value) in kwargs) Check(record, name, value, end, joined);
        var arguments = new ChatTemplateArguments
        {
            AddGenerationPrompt = end is ChatEnd.AnswerNext || Flag(record, kwargs, NewMessage),
            ContinueFinalMessage = end is ChatEnd.Continued || Flag(record, kwargs, LastMessage),
            Tools = joined ? null : kwargs.ContainsKey("tools") ? Objects(record, $"{Field}.tools", kwargs["tools"]) : Tools(record),
            Documents = Objects(record, $"{Field}.documents", kwargs["documents"]),
            Variables = kwargs.Where(v => !Lifted.Contains(v.Key)).ToDictionary(v => v.Key, v => JsonSerializer.SerializeToElement(v.Value)),
        };
        return (arguments, Template(record, kwargs["chat_template"]));
    }

    private static void Check(DataRecord record, string name, JsonNode? value, ChatEnd end, bool joined)
    {
        if (Given.Contains(name) || (name == NewMessage && end is not ChatEnd.Whole) || (joined && name is NewMessage or LastMessage or "tools"))
            throw record.Wrong($"{Field}.{name}", "left out: the training gives it itself");
        if (Encoding.Contains(name) && value is not null && value.GetValueKind() != JsonValueKind.False)
            throw record.Wrong($"{Field}.{name}", "left out: how long rows may be is an option of the training");
    }

    private static bool Flag(DataRecord record, JsonObject kwargs, string name) =>
        kwargs[name] is { } node && (node is JsonValue value && value.TryGetValue<bool>(out var flag) ? flag : throw record.Wrong($"{Field}.{name}", "true or false"));

    private static JsonElement? Tools(DataRecord record)
    {
        var tools = record.Fields["tools"];
        try
        {
            if (tools is JsonValue value && value.TryGetValue<string>(out var text)) tools = RowJson.Parse(text);
        }
        catch (JsonException e)
        {
            throw new UserErrorException($"{record.Place}: 'tools' is a text that is not valid JSON ({RowJson.Cause(e)}); give a list of objects, or its JSON.", e);
        }
        return Objects(record, "tools", tools);
    }

    // An empty list is given as it is: templates may tell it from none.
    private static JsonElement? Objects(DataRecord record, string name, JsonNode? node) => node switch
    {
        null => null,
        JsonArray array when array.All(item => item is JsonObject) => JsonSerializer.SerializeToElement(array),
        _ => throw record.Wrong(name, "a list of objects"),
    };

    private static string? Template(DataRecord record, JsonNode? node) => node switch
    {
        null => null,
        // A name would be rendered as it stands, for every conversation alike.
        JsonValue value when value.TryGetValue<string>(out var text) && text.Contains('{', StringComparison.Ordinal) => text,
        _ => throw record.Wrong($"{Field}.chat_template", "the text of a Jinja template (one of the model's or a built-in one is chosen with chat_template of the training)"),
    };
}
