// A chat template that tells when it is first used: whether rows held conversations is known only once they were rendered.
using PeftAlign.Abstractions;

namespace PeftAlign.Models.Templates;

/// <summary>Renders as another template does.</summary>
/// <param name="inner">The other one.</param>
/// <param name="first">Called once, at the first conversation.</param>
public sealed class NotedTemplate(IChatTemplate inner, Action? first = null) : IChatTemplate
{
    private int used;

    /// <summary>Whether a conversation was rendered.</summary>
    public bool IsUsed => Volatile.Read(ref used) != 0;

    /// <inheritdoc/>
    public string Name => inner.Name;

    /// <inheritdoc/>
    public string Source => inner.Source;

    /// <inheritdoc/>
    public IReadOnlyDictionary<string, string> SpecialTokens => inner.SpecialTokens;

    /// <inheritdoc/>
    public RenderedChat Render(IReadOnlyList<ChatMessage> messages, ChatTemplateArguments arguments)
    {
        if (Interlocked.Exchange(ref used, 1) == 0) first?.Invoke();
        return inner.Render(messages, arguments);
    }
}
