// Chat templates over the Jinja engine, with the semantics of transformers' apply_chat_template: which variables a
// template sees, how messages are prepared, and where a continued last message is cut.
using System.Text.Json;
using PeftAlign.Abstractions;
using PeftAlign.Models.Templates.Jinja;

namespace PeftAlign.Models.Templates;

/// <summary>A chat template: Jinja text with the special tokens of its tokenizer.</summary>
public sealed class ChatTemplate : IChatTemplate
{
    /// <summary>What marks the place to continue from; templates that trim the content take its last space away.</summary>
    private const string Tag = "CONTINUE_FINAL_MESSAGE_TAG ";

    /// <summary>Characters that a template may make for each character of its input, beside the fixed allowance.</summary>
    private const int CharactersPerInput = 20;

    /// <summary>Steps grow with the input too, one for each of its characters, up to this.</summary>
    private const int MaxSteps = 100_000_000;

    private readonly JinjaTemplate template;

    /// <summary>Parses a template.</summary>
    /// <param name="name">What errors call it.</param>
    /// <param name="source">Jinja text of at most 1 Mi characters; line ends may be LF or CR LF.</param>
    /// <param name="specialTokens">Special tokens by variable name, as <c>bos_token</c>; null for none.</param>
    /// <exception cref="ChatTemplateException">The text is no template: Syntax or Limit, with the line.</exception>
    public ChatTemplate(string name, string source, IReadOnlyDictionary<string, string>? specialTokens = null)
    {
        (Name, Source) = (name, source);
        SpecialTokens = specialTokens ?? new Dictionary<string, string>();
        template = new JinjaTemplate(name, source);
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <inheritdoc/>
    public string Source { get; }

    /// <inheritdoc/>
    public IReadOnlyDictionary<string, string> SpecialTokens { get; }

    /// <summary>Renders a conversation. With ContinueFinalMessage no generated spans are given, since the text is cut.</summary>
    /// <param name="messages">The conversation, oldest message first.</param>
    /// <param name="arguments">What else the template sees.</param>
    /// <exception cref="ChatTemplateException">
    /// Value: arguments that exclude each other, or a last message that cannot be continued. Other kinds: the template failed.
    /// </exception>
    public RenderedChat Render(IReadOnlyList<ChatMessage> messages, ChatTemplateArguments arguments)
    {
        try
        {
            long input = messages.Sum(m => (long)m.Fields.GetRawText().Length)
                + arguments.Variables.Values.Sum(v => (long)v.GetRawText().Length)
                + (arguments.Tools?.GetRawText().Length ?? 0) + (arguments.Documents?.GetRawText().Length ?? 0);
            var limits = new RenderLimits();
            limits = new RenderLimits(
                (int)Math.Min(limits.Steps + input, MaxSteps), limits.Characters + (CharactersPerInput * input));
            List<PyDict> prepared = [.. messages.Select(m => MessagePreparation.Prepare(m.Fields))];
            string? continued = arguments.ContinueFinalMessage ? Continue(prepared, arguments) : null;
            RenderedChat chat = template.Render(Variables(prepared, arguments), limits, arguments.Now);
            return continued is null ? chat : new RenderedChat(Cut(chat.Text, continued), []);
        }
        catch (Fault fault)
        {
            throw new ChatTemplateException(fault.Kind, Name, 0, fault.Message, fault);
        }
    }

    private Dictionary<string, object?> Variables(List<PyDict> messages, ChatTemplateArguments arguments)
    {
        var variables = new Dictionary<string, object?>();
        foreach ((string name, string token) in SpecialTokens) variables[string.Intern(name)] = token;
        foreach ((string name, JsonElement value) in arguments.Variables) variables[string.Intern(name)] = PyJson.Value(value);
        variables["messages"] = new PyList(messages);
        variables["tools"] = arguments.Tools is JsonElement tools ? PyJson.Value(tools) : null;
        variables["documents"] = arguments.Documents is JsonElement documents ? PyJson.Value(documents) : null;
        variables["add_generation_prompt"] = arguments.AddGenerationPrompt;
        return variables;
    }

    /// <summary>Puts the tag behind the last message's text; returns that text.</summary>
    private static string Continue(List<PyDict> messages, ChatTemplateArguments arguments)
    {
        if (arguments.AddGenerationPrompt)
        {
            throw Fault.Value(
                "continue_final_message and add_generation_prompt exclude each other: the first continues the last message, "
                + "the second begins a new one; choose one");
        }

        if (messages.Count == 0) throw Fault.Value("continue_final_message needs at least one message");
        (messages[^1], string text) = MessagePreparation.Tagged(messages[^1], Tag);
        return text;
    }

    private static string Cut(string text, string continued)
    {
        string tag = Tag.TrimEnd();
        int at = text.LastIndexOf(tag, StringComparison.Ordinal);
        if (at < 0 || !text.Contains(PyText.Trim(continued), StringComparison.Ordinal))
        {
            throw Fault.Value(
                "continue_final_message is set, but the last message does not appear in the text: "
                + "the template drops or changes it; use another template or message");
        }

        string head = text[..at];
        return string.CompareOrdinal(text, at, Tag, 0, Tag.Length) == 0 ? head : PyText.TrimEnd(head);
    }
}
