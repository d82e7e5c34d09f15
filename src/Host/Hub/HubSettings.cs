// Where the hub is, who asks, and where files are kept: the environment variables of Hugging Face's own tools, so that
// what one tool has fetched the others find.

using System.Text.RegularExpressions;

namespace PeftAlign.Host.Hub;

/// <param name="Endpoint">The server, without a slash at the end.</param>
/// <param name="Token">Sent to the endpoint only; null for none.</param>
/// <param name="Cache">Folder that holds models--OWNER--NAME.</param>
/// <param name="Offline">Whether the network must not be used.</param>
internal sealed partial record HubSettings(string Endpoint, string? Token, string Cache, bool Offline)
{
    internal const string PublicEndpoint = "https://huggingface.co";

    /// <summary>Wait before the first repetition; each further one waits twice as long.</summary>
    internal TimeSpan FirstWait { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Longest silence of a server within an answer.</summary>
    internal TimeSpan Patience { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>HF_ENDPOINT, HF_TOKEN or the file that `hf auth login` writes, HF_HUB_CACHE, HF_HOME, HF_HUB_OFFLINE.</summary>
    /// <param name="variable">Value of an environment variable, or null.</param>
    internal static HubSettings Of(Func<string, string?> variable)
    {
        string? Given(string name) => variable(name) is { Length: > 0 } value ? value : null;
        var endpoint = (Given("HF_ENDPOINT") ?? PublicEndpoint).TrimEnd('/');
        if (!Uri.TryCreate(endpoint, UriKind.Absolute, out var uri) || uri.Scheme is not ("http" or "https"))
            throw new UserError($"HF_ENDPOINT={endpoint}", "is an http or https address", $"unset it for {PublicEndpoint}");
        var home = Given("HF_HOME") ?? Path.Combine(Given("XDG_CACHE_HOME") ?? Path.Combine(UserFolder(Given), ".cache"), "huggingface");
        var cache = Given("HF_HUB_CACHE") ?? Given("HUGGINGFACE_HUB_CACHE") ?? Path.Combine(home, "hub");
        var token = Given("HF_TOKEN") ?? Given("HUGGING_FACE_HUB_TOKEN") ?? Stored(Expanded(Given("HF_TOKEN_PATH") ?? Path.Combine(home, "token"), variable));
        return new HubSettings(endpoint, Sendable(token), Path.GetFullPath(Expanded(cache, variable)), IsTrue(Given("HF_HUB_OFFLINE") ?? Given("TRANSFORMERS_OFFLINE")));
    }

    // As huggingface_hub does (expanduser, then expandvars): a value that no shell has expanded, as in a container's settings, would otherwise
    // mean a folder called '~' that no other tool looks into. A variable that is not set stays as it is written.
    private static string Expanded(string path, Func<string, string?> variable)
    {
        if (path == "~" || path.StartsWith("~/", StringComparison.Ordinal)) path = UserFolder(variable) + path[1..];
        return Variable().Replace(path, match => variable(match.Groups[1].Value + match.Groups[2].Value) ?? match.Value);
    }

    [GeneratedRegex(@"\$(?:([A-Za-z0-9_]+)|\{([^}]*)\})")]
    private static partial Regex Variable();

    private static string UserFolder(Func<string, string?> given) =>
        given("HOME") ?? (Environment.GetFolderPath(Environment.SpecialFolder.UserProfile) is { Length: > 0 } folder
            ? folder
            : throw new UserError("HOME", "is not set, so the hub's cache has no place", "set HF_HOME to a folder"));

    private static string? Stored(string file) => File.Exists(file) ? File.ReadAllText(file) : null;

    // A line break or a space in a header would be refused far from its cause.
    private static string? Sendable(string? token)
    {
        var text = token?.Trim();
        if (string.IsNullOrEmpty(text)) return null;
        if (text.Any(c => c is <= ' ' or > '~')) throw new UserError("HF_TOKEN", "holds characters that a token cannot have", "copy it again from the hub's settings");
        return text;
    }

    private static bool IsTrue(string? value) => value?.ToUpperInvariant() is "1" or "ON" or "YES" or "TRUE";
}
