// The golden files of chat templates: copies beside the tests, and where it is there, the larger folder that they came
// from (PEFTALIGN_SHARED, or "shared" beside the repository or beside its parent).
using System.Text.Json;
using PeftAlign.Abstractions;
using PeftAlign.Models.Templates;

namespace PeftAlign.Models.Tests.Templates;

internal static class ChatGolden
{
    public static string Folder { get; } = Path.Combine(AppContext.BaseDirectory, "Templates", "Golden");

    /// <summary>A folder of the larger goldens; null where they are not on this machine.</summary>
    public static string? Shared(string name) =>
        Checkout.Shared is { } root && Directory.Exists(Path.Combine(root, name)) ? Path.Combine(root, name) : null;

    private static readonly JsonElement Meta = Json("meta.json");

    private static readonly Dictionary<string, ChatMessage[]> Conversations =
        Json("conversations.json").EnumerateObject().ToDictionary(c => c.Name, c => Messages(c.Value));

    public static DateTime Now { get; } = DateTime.Parse(
        Meta.GetProperty("now").GetString()!, System.Globalization.CultureInfo.InvariantCulture);

    public static JsonElement UnitContext => Meta.GetProperty("unit_context");

    public static ChatMessage[] Conversation(string name) => Conversations[name];

    public static ChatMessage[] Messages(JsonElement array) => [.. array.EnumerateArray().Select(m => new ChatMessage(m))];

    public static JsonElement Json(string file) => JsonDocument.Parse(File.ReadAllText(Path.Combine(Folder, file))).RootElement;

    public static IEnumerable<JsonElement> Rows(string file) =>
        Packed.Lines(Path.Combine(Folder, file)).Select(line => JsonDocument.Parse(line).RootElement);

    public static ChatTemplate Template(string name) =>
        new(name, File.ReadAllText(Path.Combine(Folder, "templates", name + ".jinja")), Tokens(name));

    public static Dictionary<string, string> Tokens(string name) => Meta.GetProperty("tokens").GetProperty(name).EnumerateObject()
        .Where(t => t.Value.ValueKind == JsonValueKind.String).ToDictionary(t => t.Name, t => t.Value.GetString()!);

    public static ChatTemplateArguments Arguments(JsonElement args)
    {
        string[] known = ["add_generation_prompt", "continue_final_message", "tools", "documents", "max_length", "truncation"];
        JsonElement? Get(string name) => args.TryGetProperty(name, out JsonElement value) ? value : null;
        return new ChatTemplateArguments
        {
            AddGenerationPrompt = Get("add_generation_prompt")?.GetBoolean() ?? false,
            ContinueFinalMessage = Get("continue_final_message")?.GetBoolean() ?? false,
            Tools = Get("tools"),
            Documents = Get("documents"),
            Variables = args.EnumerateObject().Where(a => !known.Contains(a.Name)).ToDictionary(a => a.Name, a => a.Value),
            Now = Now,
        };
    }

    /// <summary>The kind of error that the reference's exception stands for.</summary>
    public static ChatTemplateErrorKind Kind(string exception) => exception switch
    {
        "TemplateSyntaxError" or "TemplateAssertionError" => ChatTemplateErrorKind.Syntax,
        "UndefinedError" => ChatTemplateErrorKind.Undefined,
        "TypeError" or "TemplateRuntimeError" => ChatTemplateErrorKind.Type,
        "ValueError" or "ZeroDivisionError" => ChatTemplateErrorKind.Value,
        "SecurityError" => ChatTemplateErrorKind.Security,
        "TemplateError" => ChatTemplateErrorKind.Raised,
        _ => throw new ArgumentException($"The golden has an error of unknown type {exception}."),
    };
}
