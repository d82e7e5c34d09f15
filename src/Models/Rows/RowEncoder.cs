// Texts and messages of a training row as token ids, by TRL's rules: plain texts get what the tokenizer puts around a text,
// and the end token as text behind them; chats are what the template renders, without anything added. A tokenizer file's own
// truncation and padding do not count here: limits are the training's.

using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models.Templates;

namespace PeftAlign.Models.Rows;

/// <summary>Encodes the fields of one row.</summary>
/// <param name="record">The row.</param>
/// <param name="context">Tokenizer and template.</param>
/// <param name="joined">What a row gives its template, as <see cref="ChatKwargs.Of"/> has it.</param>
internal sealed class RowEncoder(DataRecord record, PrepareContext context, bool joined = false)
{
    private static readonly EncodeOptions Chat = new() { AddSpecialTokens = false, Truncation = TruncationOptions.Off, Padding = PaddingOptions.Off };

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

    /// <summary>The names of a row's fields, for a message; a field without a value counts as none.</summary>
    internal static string Fields(DataRecord record) => string.Join(", ", record.Fields.Select(f => f.Value is null ? $"{f.Key} (null)" : f.Key));

    /// <summary>Ids of a plain text.</summary>
    internal int[] Plain(string text, bool special = true) =>
        OtherMedia.Fault(record) is { } media ? throw Fault(media) : [.. tokenizer.EncodeToIds(text, special)];

    /// <summary>The text with the end token written behind it, unless it ends so already or the tokenizer has none.</summary>
    internal string WithEnd(string text)
    {
        var end = EndToken.Text(tokenizer);
        return text.EndsWith(end, StringComparison.Ordinal) ? text : text + end;
    }

    /// <summary>A conversation's text, with what the row gives its template (tools, chat_template_kwargs).</summary>
    internal RenderedChat Render(JsonArray messages, ChatEnd end = ChatEnd.Whole, bool marked = false)
    {
        var list = messages.Select(m => m is JsonObject message ? new ChatMessage(JsonSerializer.SerializeToElement(message)) : throw Fault("a message is an object with role and content")).ToList();
        if ((OtherMedia.Fault(list) ?? OtherMedia.Fault(record)) is { } media) throw Fault(media);
        if (list.Count == 0 && end is not ChatEnd.AnswerNext) throw Fault("a conversation has no message");
        var (arguments, own) = ChatKwargs.Of(record, end, joined);
        if (marked && arguments.ContinueFinalMessage) throw Fault("assistant_only_loss is on, and a conversation that continue_final_message cuts marks nothing; leave one of them out");
        try
        {
            var template = context.RequireTemplate(record);
            if (own is not null) template = new ChatTemplate("of the row", own, template.SpecialTokens);
            return template.Render(list, arguments);
        }
        catch (ChatTemplateException e)
        {
            throw new UserErrorException($"{record.Place}: {e.Message}", e);
        }
    }

    /// <summary>Ids of a conversation.</summary>
    internal int[] Conversation(JsonArray messages, ChatEnd end = ChatEnd.Whole) => Plain(Render(messages, end).Text, special: false);

    /// <summary>Ids of a conversation, and which of them the template marks as the assistant's.</summary>
    internal (int[] Ids, bool[] Assistant) Marked(JsonArray messages)
    {
        if (tokenizer is not ITokenizerDetails details) throw Fault("assistant_only_loss needs a tokenizer that tells where its tokens lie, which this one does not; leave it out");
        var rendered = Render(messages, marked: true);
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

    private static bool IsText(JsonNode? node) => node is JsonValue value && value.TryGetValue<string>(out _);
}
