// Texts and messages of a training row as token ids, by TRL's rules: plain texts get what the tokenizer puts around a text,
// and the end token as text behind them; chats are what the template renders, without anything added. A tokenizer file's own
// truncation and padding do not count here: limits are the training's.

using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models.Templates;

namespace PeftAlign.Models.Rows;

/// <summary>Encodes the fields of one row.</summary>
internal sealed class RowEncoder(DataRecord record, PrepareContext context)
{
    private static readonly EncodeOptions Text = new() { Truncation = TruncationOptions.Off, Padding = PaddingOptions.Off };
    private static readonly EncodeOptions Chat = Text with { AddSpecialTokens = false };

    private readonly ITokenizer tokenizer = context.RequireTokenizer(record);

    /// <summary>Whether the fields that are there hold messages; all must be of one kind.</summary>
    /// <exception cref="UserErrorException">One is neither text nor messages, or one is a text and another one messages.</exception>
    internal static bool HoldsMessages(DataRecord record, params string[] fields)
    {
        var kinds = fields.Where(record.Has).Select(f => (Field: f, Chat: record.Fields[f] is JsonArray)).ToList();
        foreach (var (field, chat) in kinds)
            if (!chat && !IsText(record.Fields[field])) throw record.Wrong(field, "a text or a list of messages");
        if (kinds.Select(k => k.Chat).Distinct().Count() > 1)
            throw new UserErrorException($"{record.Place}: {string.Join(", ", kinds.Select(k => $"'{k.Field}' holds {(k.Chat ? "messages" : "a text")}"))}; write all of them alike{(fields.Contains("chosen") ? ", or leave 'prompt' out where chosen and rejected begin with it" : "")}.");
        return kinds.Count > 0 && kinds[0].Chat;
    }

    /// <summary>Ids of a plain text.</summary>
    internal int[] Plain(string text, bool special = true) => Ids(text, special ? Text : Chat);

    /// <summary>The text with the end token written behind it, unless it ends so already or the tokenizer has none.</summary>
    internal string WithEnd(string text)
    {
        var end = EndToken.Text(tokenizer);
        return text.EndsWith(end, StringComparison.Ordinal) ? text : text + end;
    }

    /// <summary>A conversation's text, with the variables that the row gives (tools, chat_template_kwargs).</summary>
    internal RenderedChat Render(JsonArray messages, bool addGenerationPrompt = false)
    {
        var list = messages.Select(m => m is JsonObject message ? new ChatMessage(JsonSerializer.SerializeToElement(message)) : throw Fault("a message is an object with role and content")).ToList();
        if (list.Count == 0 && !addGenerationPrompt) throw Fault("a conversation has no message");
        var variables = (record.Fields["chat_template_kwargs"] as JsonObject ?? []).ToDictionary(v => v.Key, v => JsonSerializer.SerializeToElement(v.Value));
        try
        {
            return context.RequireTemplate(record).Render(list, new ChatTemplateArguments { AddGenerationPrompt = addGenerationPrompt, Tools = Tools(), Variables = variables });
        }
        catch (ChatTemplateException e)
        {
            throw new UserErrorException($"{record.Place}: {e.Message}", e);
        }
    }

    /// <summary>Ids of a conversation.</summary>
    internal int[] Conversation(JsonArray messages, bool addGenerationPrompt = false) => Ids(Render(messages, addGenerationPrompt).Text, Chat);

    /// <summary>Ids of a conversation, and which of them the template marks as the assistant's.</summary>
    internal (int[] Ids, bool[] Assistant) Marked(JsonArray messages)
    {
        if (tokenizer is not ITokenizerDetails details) throw Fault("assistant_only_loss needs a tokenizer that tells where its tokens lie, which this one does not; leave it out");
        var rendered = Render(messages);
        var encoded = details.Encode(rendered.Text, options: Chat);
        var mask = AssistantMask.Compute(rendered.Generated, [.. encoded.Offsets.Select(o => new CodePointSpan(o.Start, o.End))]);
        if (!mask.Contains(1)) throw Fault("assistant_only_loss is on, but the chat template marks no token of this conversation as the assistant's; use a template with {% generation %} blocks, or turn it off");
        return ([.. encoded.Ids], Array.ConvertAll(mask, m => m == 1));
    }

    /// <summary>The messages of a field, or of two joined.</summary>
    internal JsonArray Messages(params string[] fields) =>
        new([.. fields.SelectMany(f => record.Fields[f]!.AsArray()).Select(m => m?.DeepClone())]);

    /// <summary>How many first entries two rows of ids share.</summary>
    internal static int Shared(int[] a, int[] b) => a.AsSpan().CommonPrefixLength(b);

    private UserErrorException Fault(string what) => new($"{record.Place}: {what}.");

    private int[] Ids(string text, EncodeOptions options) =>
        tokenizer is ITokenizerDetails details ? [.. details.Encode(text, options: options).Ids] : [.. tokenizer.EncodeToIds(text, options.AddSpecialTokens)];

    private JsonElement? Tools()
    {
        var tools = record.Fields["tools"];
        try
        {
            if (tools is JsonValue value && value.TryGetValue<string>(out var text)) tools = JsonNode.Parse(text);
        }
        catch (JsonException e)
        {
            throw new UserErrorException($"{record.Place}: 'tools' is a text that is not JSON: {e.Message}", e);
        }
        return tools is JsonArray { Count: > 0 } ? JsonSerializer.SerializeToElement(tools) : null;
    }

    private static bool IsText(JsonNode? node) => node is JsonValue value && value.TryGetValue<string>(out _);
}
