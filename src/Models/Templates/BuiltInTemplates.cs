// Templates that come with the product, for models whose folder has none. Each is an embedded file Builtin/NAME.jinja,
// written after the format that the model's makers document, with the tokens that its models use by default.
using PeftAlign.Abstractions;

namespace PeftAlign.Models.Templates;

/// <summary>Chat templates by name.</summary>
public static class BuiltInTemplates
{
    private static readonly Dictionary<string, (string? Bos, string Eos)> Tokens = new()
    {
        ["alpaca"] = ("<s>", "</s>"),
        ["chatml"] = (null, "<|im_end|>"),
        ["gemma"] = ("<bos>", "<eos>"),
        ["human-assistant"] = ("<s>", "</s>"),
        ["llama-2"] = ("<s>", "</s>"),
        ["llama-3"] = ("<|begin_of_text|>", "<|eot_id|>"),
        ["mistral"] = ("<s>", "</s>"),
        ["phi-3"] = ("<s>", "<|endoftext|>"),
        ["vicuna"] = ("<s>", "</s>"),
        ["zephyr"] = ("<s>", "</s>"),
    };

    /// <summary>The names, sorted.</summary>
    public static IReadOnlyList<string> Names { get; } = [.. Tokens.Keys.Order(StringComparer.Ordinal)];

    /// <summary>Whether a name is known; case, hyphens and the like do not matter: Llama3 is llama-3, hh is
    /// human-assistant.</summary>
    /// <param name="name">The name as the user writes it.</param>
    public static bool Knows(string name) => Find(name) is not null;

    /// <summary>A built-in template.</summary>
    /// <param name="name">One of <see cref="Names"/>, spelled freely.</param>
    /// <param name="specialTokens">The model's own special tokens, by variable name; where one is absent the format's default
    /// serves.</param>
    /// <exception cref="ChatTemplateException">Value: there is no template of that name.</exception>
    public static ChatTemplate Get(string name, IReadOnlyDictionary<string, string>? specialTokens = null)
    {
        string known = Find(name) ?? throw Unknown(name);
        (string? bos, string eos) = Tokens[known];
        var tokens = new Dictionary<string, string> { ["eos_token"] = eos };
        if (bos is not null) tokens["bos_token"] = bos;
        foreach ((string key, string token) in specialTokens ?? new Dictionary<string, string>()) tokens[key] = token;
        string resource = $"PeftAlign.Templates.{known}.jinja";
        using Stream stream = typeof(BuiltInTemplates).Assembly.GetManifestResourceStream(resource)
            ?? throw new InvalidOperationException($"The assembly lacks its resource {resource}; build it again.");
        using var reader = new StreamReader(stream);
        return new ChatTemplate(known, reader.ReadToEnd(), tokens);
    }

    /// <summary>The error for a name that is neither built in nor found elsewhere.</summary>
    internal static ChatTemplateException Unknown(string name) => new(
        ChatTemplateErrorKind.Value, name, 0,
        $"there is no such template; give a .jinja file or one of {string.Join(", ", Names)}");

    private static string? Find(string name)
    {
        string plain = Plain(name);
        return plain is "hh" or "hhrlhf" ? "human-assistant" : Names.FirstOrDefault(known => Plain(known) == plain);
    }

    private static string Plain(string name) => string.Concat(name.Where(char.IsAsciiLetterOrDigit)).ToLowerInvariant();
}
