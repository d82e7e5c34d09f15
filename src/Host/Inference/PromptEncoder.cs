// Rows to token ids: texts by the tokenizer with what it puts around a text, conversations through the chat template.

using PeftAlign.Abstractions;
using PeftAlign.Host.Rows;
using PeftAlign.Models.Rows;
using PeftAlign.Models.Templates;

namespace PeftAlign.Host.Inference;

internal sealed class PromptEncoder(InferenceModel model, string? templateOption, Action<string> say)
{
    private IChatTemplate? template;

    /// <summary>A row {prompt}, of a text or of messages, {prompt_ids} or {messages}.</summary>
    /// <param name="row">The row.</param>
    /// <param name="chat">Whether a prompt is what a user says in a conversation.</param>
    /// <exception cref="UserErrorException">The row is at fault; the message names it.</exception>
    internal int[] Prompt(Row row, bool chat)
    {
        try
        {
            return row.Ids("prompt_ids") is { } ids ? Uncontrolled(Known(ids), "token ids")
                : ChatRow.IsIn(row) ? Chat(ChatRow.Of(row, addGenerationPrompt: true))
                : row.Text("prompt") is not { } text ? throw row.Fault("has no \"prompt\", \"prompt_ids\" or \"messages\"", "give one of them")
                : chat ? Chat(new ChatRow([ChatMessage.Of("user", text)], new ChatTemplateArguments { AddGenerationPrompt = true }, null))
                : Text(Under(text));
        }
        catch (UserErrorException e) when (e is not UserError)
        {
            throw row.Fault(e);
        }
    }

    /// <summary>Ids of a text; of an empty one the token that begins or ends a text.</summary>
    internal int[] Text(string text)
    {
        var ids = Ids(text);
        return ids.Length > 0 ? ids : [First()];
    }

    /// <summary>Ids of a text by itself; an empty one has some where the tokenizer writes a begin token.</summary>
    internal int[] Ids(string text) => [.. model.TextTokenizer.EncodeToIds(text)];

    /// <summary>Ids of a conversation. Its text holds its special tokens already.</summary>
    internal int[] Chat(ChatRow chat)
    {
        Uncontrolled(chat, "a conversation");
        if (OtherMedia.Fault(chat.Messages) is { } media) throw new UserErrorException($"{media}.");
        var ids = model.TextTokenizer.EncodeToIds(Template.Render(chat.Messages, chat.Arguments).Text, addSpecialTokens: false);
        return chat.MaxLength is { } length ? [.. ids.Take(length)] : [.. ids];
    }

    /// <summary>A plain prompt with what the control puts around it.</summary>
    internal string Under(string prompt) => model.Control?.Around(prompt) ?? prompt;

    /// <summary>Passes on what no text can stand around, unless the control is one.</summary>
    /// <exception cref="UserErrorException">It is.</exception>
    internal T Uncontrolled<T>(T prompt, string kind) => model.Control is null ? prompt
        : throw new UserErrorException($"The control is a text around a plain prompt, and this is {kind}; write the control into it yourself and leave --control out.");

    /// <summary>The token that stands before a text without context.</summary>
    internal int First() =>
        model.TextTokenizer.SpecialTokens is var special && (special.Bos ?? special.Eos) is { } id ? id
        : throw new UserError(model.Folder, "its tokenizer has neither a begin nor an end token to stand before an empty prompt", "give a prompt");

    /// <summary>Ids that the row gave, checked against the vocabulary.</summary>
    internal int[] Known(int[] ids)
    {
        foreach (var id in ids)
            if (id >= model.Decoder.Spec.Vocabulary) throw new UserErrorException($"token id {id} is not in the model's vocabulary of {model.Decoder.Spec.Vocabulary}; the row was made with another tokenizer.");
        return ids;
    }

    /// <summary>The chat template: the one that was asked for, else the adapter's, else the model's own.</summary>
    internal IChatTemplate Template => template ??= model.Template(templateOption, say) ?? throw new UserError(
        model.Folder, "has no chat template", $"give --chat-template with a .jinja file or one of {string.Join(", ", BuiltInTemplates.Names)}");
}
