// The contract of chat templates: messages in, the text of the conversation out. Semantics are those of
// transformers' apply_chat_template over Jinja templates; positions are counted in Unicode code points.
using System.Text.Json;

namespace PeftAlign.Abstractions;

/// <summary>Turns a conversation into the text that a model was trained on.</summary>
/// <remarks>Instances are immutable and may be used by several threads at once.</remarks>
public interface IChatTemplate
{
    /// <summary>The template's name in error messages: a file name, or the name of a built-in template.</summary>
    string Name { get; }

    /// <summary>The template's text, as it is to be saved beside a model.</summary>
    string Source { get; }

    /// <summary>Special tokens by the names that templates use, such as <c>bos_token</c>; they are variables of the
    /// template.</summary>
    IReadOnlyDictionary<string, string> SpecialTokens { get; }

    /// <summary>Renders a conversation.</summary>
    /// <param name="messages">The conversation, oldest message first.</param>
    /// <param name="arguments">What else the template sees.</param>
    /// <exception cref="ChatTemplateException">The template or the conversation is at fault, or a limit was met.</exception>
    RenderedChat Render(IReadOnlyList<ChatMessage> messages, ChatTemplateArguments arguments);
}

/// <summary>One message: a JSON object, usually with <c>role</c> and <c>content</c>, in the order of its record.</summary>
/// <param name="Fields">The object; its document must stay alive as long as the message.</param>
public sealed record ChatMessage(JsonElement Fields)
{
    /// <summary>A message of plain text.</summary>
    /// <param name="role">Such as <c>system</c>, <c>user</c> or <c>assistant</c>.</param>
    /// <param name="content">The text.</param>
    public static ChatMessage Of(string role, string content) =>
        new(JsonSerializer.SerializeToElement(new Dictionary<string, string> { ["role"] = role, ["content"] = content }));
}

/// <summary>What a template sees beside the messages; names as in transformers' apply_chat_template.</summary>
public sealed record ChatTemplateArguments
{
    /// <summary>Ends the text with the header of the assistant's next message.</summary>
    public bool AddGenerationPrompt { get; init; }

    /// <summary>
    /// Ends the text inside the last message, for the model to continue it. Excludes <see cref="AddGenerationPrompt"/>.
    /// </summary>
    public bool ContinueFinalMessage { get; init; }

    /// <summary>A JSON array of tool descriptions; null: the variable is none.</summary>
    public JsonElement? Tools { get; init; }

    /// <summary>A JSON array of documents; null: the variable is none.</summary>
    public JsonElement? Documents { get; init; }

    /// <summary>Further variables of the template; they win over special tokens.</summary>
    public IReadOnlyDictionary<string, JsonElement> Variables { get; init; } = new Dictionary<string, JsonElement>();

    /// <summary>The time that <c>strftime_now</c> formats; null: the clock's.</summary>
    public DateTime? Now { get; init; }
}

/// <summary>A rendered conversation.</summary>
/// <param name="Text">The text. It holds its special tokens already: encode it without adding any.</param>
/// <param name="Generated">What <c>{% generation %}</c> blocks rendered, in order; empty where the template has none.</param>
public sealed record RenderedChat(string Text, IReadOnlyList<CodePointSpan> Generated);

/// <summary>A piece of a text, from <paramref name="Start"/> to before <paramref name="End"/>, in Unicode code points.</summary>
/// <param name="Start">The first code point.</param>
/// <param name="End">One past the last code point.</param>
public readonly record struct CodePointSpan(int Start, int End);

/// <summary>What is wrong with a template or with what it was given.</summary>
public enum ChatTemplateErrorKind
{
    /// <summary>The template's text is not valid Jinja, or names an unknown filter or test.</summary>
    Syntax,

    /// <summary>An undefined value was used for more than printing or testing it.</summary>
    Undefined,

    /// <summary>An operation got a value of a type that it does not support.</summary>
    Type,

    /// <summary>An operation got a value out of its range, or the arguments contradict each other.</summary>
    Value,

    /// <summary>The template reached for what the sandbox forbids.</summary>
    Security,

    /// <summary>The template exceeded a limit on steps, depth, digits or characters.</summary>
    Limit,

    /// <summary>The template called <c>raise_exception</c>.</summary>
    Raised,
}

/// <summary>A template could not be read or rendered because of a mistake in the template or its input, not in the program.</summary>
public sealed class ChatTemplateException : UserErrorException
{
    /// <summary>Makes an error; the message is "NAME, line N: reason".</summary>
    /// <param name="kind">What is wrong.</param>
    /// <param name="template">The template's name.</param>
    /// <param name="line">The line of the template, from 1; 0 where no single line is at fault.</param>
    /// <param name="reason">What is wrong, in words.</param>
    /// <param name="inner">The error that caused it, if any.</param>
    public ChatTemplateException(
        ChatTemplateErrorKind kind, string template, int line, string reason, Exception? inner = null)
        : base(line > 0 ? $"Chat template {template}, line {line}: {reason}" : $"Chat template {template}: {reason}", inner)
    {
        (Kind, Template, Line, Reason) = (kind, template, line, reason);
    }

    /// <summary>What is wrong.</summary>
    public ChatTemplateErrorKind Kind { get; }

    /// <summary>The template's name.</summary>
    public string Template { get; }

    /// <summary>The line of the template, from 1; 0 where no single line is at fault.</summary>
    public int Line { get; }

    /// <summary>The message without name and line.</summary>
    public string Reason { get; }
}
