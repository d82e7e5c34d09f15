// Finds the chat template of a model folder in Hugging Face's layout: chat_template.jinja (others by name in
// additional_chat_templates/), else chat_template in tokenizer_config.json (a text, or a list of named ones), else
// chat_template.json. Special tokens are those of the folder's tokenizer.
using System.Text.Json;
using PeftAlign.Abstractions;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Text;
using PeftAlign.Models.Text.Files;

namespace PeftAlign.Models.Templates;

/// <summary>Loads chat templates.</summary>
public static class ChatTemplateLoader
{
    /// <summary>Where a model's or adapter's folder keeps its template alone, as transformers does.</summary>
    public const string FileName = "chat_template.jinja";

    private const long MaxConfigBytes = 64 << 20;

    private const string Default = "default";

    /// <summary>The template that a model is to use.</summary>
    /// <param name="folder">The model's folder; null where there is only an option.</param>
    /// <param name="option">
    /// What the user asks for: the name of one of the folder's named templates, of a built-in one, or a .jinja file.
    /// null: the folder's own; its template "tool_use", where there is one, serves renderings with tools.
    /// </param>
    /// <returns>The template; null where no option is given and the folder has none.</returns>
    /// <exception cref="ChatTemplateException">An unknown name, an unreadable file, or a faulty template.</exception>
    public static IChatTemplate? Load(string? folder, string? option = null)
    {
        Dictionary<string, string> named = folder is null ? [] : Named(folder);
        Dictionary<string, string> tokens = folder is null ? [] : SpecialTokens(folder);
        if (option is not null)
        {
            if (named.TryGetValue(option, out string? chosen)) return new ChatTemplate(option, chosen, tokens);
            if (BuiltInTemplates.Knows(option)) return BuiltInTemplates.Get(option, tokens);
            return File.Exists(option) ? new ChatTemplate(Path.GetFileName(option), ReadTemplate(option), tokens)
                : throw BuiltInTemplates.Unknown(option);
        }

        if (named.Count == 0) return null;
        if (!named.TryGetValue(Default, out string? own))
        {
            throw new ChatTemplateException(
                ChatTemplateErrorKind.Value, folder!, 0,
                $"the model has several templates and no default; choose one of {string.Join(", ", named.Keys)}");
        }

        var template = new ChatTemplate(Path.GetFileName(Path.GetFullPath(folder!)), own, tokens);
        return named.TryGetValue("tool_use", out string? withTools)
            ? new ByTools(template, new ChatTemplate("tool_use", withTools, tokens))
            : template;
    }

    /// <summary>The names of a folder's own templates.</summary>
    /// <param name="folder">The model's folder.</param>
    /// <exception cref="ChatTemplateException">An unreadable file.</exception>
    public static IReadOnlyCollection<string> NamesOf(string folder) => Named(folder).Keys;

    /// <summary>The special tokens that a folder names, by variable name as <c>bos_token</c>.</summary>
    /// <param name="folder">The model's folder.</param>
    /// <exception cref="ChatTemplateException">Value: a file is no JSON object, or names what is no token.</exception>
    public static Dictionary<string, string> SpecialTokens(string folder)
    {
        try
        {
            return TokenizerConfig.Read(folder).Named.Roles.ToDictionary(role => role.Key, role => role.Value.Content);
        }
        catch (TokenizerException error)
        {
            throw new ChatTemplateException(ChatTemplateErrorKind.Value, folder, 0, error.Message, error);
        }
    }

    private static Dictionary<string, string> Named(string folder)
    {
        var named = new Dictionary<string, string>();
        foreach (string file in new[] { "chat_template.json", "tokenizer_config.json" })
        {
            using JsonDocument? config = Read(Path.Combine(folder, file));
            if (config is not null && config.RootElement.TryGetProperty("chat_template", out JsonElement template))
                AddTemplates(named, template, Path.Combine(folder, file));
        }

        string own = Path.Combine(folder, FileName);
        string others = Path.Combine(folder, "additional_chat_templates");
        bool separate = File.Exists(own);
        if (separate) named.Clear();
        if (separate) named[Default] = ReadTemplate(own);
        if (!Directory.Exists(others)) return named;
        foreach (string file in Directory.GetFiles(others, "*.jinja").Order(StringComparer.Ordinal))
            named[Path.GetFileNameWithoutExtension(file)] = ReadTemplate(file);
        return named;
    }

    private static void AddTemplates(Dictionary<string, string> named, JsonElement template, string file)
    {
        switch (template.ValueKind)
        {
            case JsonValueKind.Null: return;
            case JsonValueKind.String: named[Default] = template.GetString()!; return;
            case JsonValueKind.Object:
                foreach (JsonProperty one in template.EnumerateObject()) named[one.Name] = Text(one.Value);
                return;
            case JsonValueKind.Array:
                foreach (JsonElement one in template.EnumerateArray())
                {
                    bool complete = one.ValueKind == JsonValueKind.Object && one.TryGetProperty("name", out _)
                        && one.TryGetProperty("template", out _);
                    if (!complete) throw Wrong(one);
                    named[Text(one.GetProperty("name"))] = Text(one.GetProperty("template"));
                }

                return;
            default: throw Wrong(template);
        }

        string Text(JsonElement value) => value.ValueKind == JsonValueKind.String ? value.GetString()! : throw Wrong(value);

        ChatTemplateException Wrong(JsonElement value) => new(
            ChatTemplateErrorKind.Value, file, 0,
            $"chat_template is a text, or a list of objects with name and template, not {value.ValueKind}; correct the file");
    }

    private static string ReadTemplate(string file)
    {
        try
        {
            long bytes = RegularFile.Length(file);
            return bytes <= 4L * JinjaTemplate.MaxLength ? File.ReadAllText(file) : throw new ChatTemplateException(
                ChatTemplateErrorKind.Limit, file, 0,
                $"the file has {bytes} bytes; templates have at most {JinjaTemplate.MaxLength} characters");
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new ChatTemplateException(
                ChatTemplateErrorKind.Value, file, 0, $"the file cannot be read ({error.Message})", error);
        }
    }

    /// <summary>A JSON object in a file; null where there is no such file.</summary>
    private static JsonDocument? Read(string file)
    {
        if (!File.Exists(file)) return null;
        try
        {
            long bytes = RegularFile.Length(file);
            if (bytes > MaxConfigBytes) throw new InvalidDataException($"it has {bytes} bytes; the limit is {MaxConfigBytes}");
            JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(file));
            if (document.RootElement.ValueKind == JsonValueKind.Object) return document;
            document.Dispose();
            throw new InvalidDataException("it is not a JSON object");
        }
        catch (Exception error) when (
            error is JsonException or IOException or InvalidDataException or UnauthorizedAccessException)
        {
            throw new ChatTemplateException(
                ChatTemplateErrorKind.Value, file, 0, $"the file cannot be read: {error.Message}", error);
        }
    }

    /// <summary>Two templates of one model: the second for renderings with tools.</summary>
    private sealed class ByTools(ChatTemplate plain, ChatTemplate withTools) : IChatTemplate
    {
        public string Name => plain.Name;

        public string Source => plain.Source;

        public IReadOnlyDictionary<string, string> SpecialTokens => plain.SpecialTokens;

        public RenderedChat Render(IReadOnlyList<ChatMessage> messages, ChatTemplateArguments arguments) =>
            (arguments.Tools is null ? plain : withTools).Render(messages, arguments);
    }
}
