// What happens to a message before a template sees it: keys without value are dropped, and the three names under which
// records keep a model's reasoning fill each other.
using System.Text.Json;
using PeftAlign.Models.Templates.Jinja;

namespace PeftAlign.Models.Templates;

internal static class MessagePreparation
{
    private static readonly string[] Reasoning = ["reasoning_content", "thinking", "reasoning"];

    /// <summary>The message as templates see it.</summary>
    /// <exception cref="Fault">Value: the message is no JSON object.</exception>
    public static PyDict Prepare(JsonElement message)
    {
        if (message.ValueKind != JsonValueKind.Object)
            throw Fault.Value($"a message is an object with role and content, not {message.ValueKind}");
        PyDict prepared = Copy((PyDict)PyJson.Value(message)!, dropNone: true);
        object? reasoning = Reasoning.Select(name => prepared.TryGet(name, out object? value) ? value : null)
            .FirstOrDefault(value => value is not null);
        if (reasoning is null) return prepared;
        foreach (string name in Reasoning[..2])
            if (!prepared.TryGet(name, out _)) prepared.Set(name, reasoning);
        return prepared;
    }

    /// <summary>The message with a tag behind its text, or behind the last text among its parts; and that text without the
    /// tag.</summary>
    /// <exception cref="Fault">Value: there is no text.</exception>
    public static (PyDict Message, string Text) Tagged(PyDict message, string tag)
    {
        if (!message.TryGet("content", out object? content))
            throw Fault.Value("continue_final_message needs a last message with content");
        PyDict tagged = Copy(message);
        if (content is string text)
        {
            tagged.Set("content", text + tag);
            return (tagged, text);
        }

        List<object?> parts = content is PyList list ? [.. list.Items] : [];
        int at = parts.FindLastIndex(p => p is PyDict part && part.TryGet("text", out object? value) && value is string);
        if (at < 0)
            throw Fault.Value("continue_final_message needs a last message whose content is text or has a part with text");
        PyDict last = Copy((PyDict)parts[at]!);
        last.TryGet("text", out object? found);
        last.Set("text", (string)found! + tag);
        parts[at] = last;
        tagged.Set("content", new PyList(parts));
        return (tagged, (string)found!);
    }

    private static PyDict Copy(PyDict source, bool dropNone = false)
    {
        var copy = new PyDict();
        foreach ((object? key, object? value) in source.Pairs)
            if (!(dropNone && value is null)) copy.Set(key, value);
        return copy;
    }
}
