// A model's name at the hub: OWNER/NAME, or NAME alone for the oldest ones.

using System.Text.RegularExpressions;

namespace PeftAlign.Host.Hub;

/// <param name="Id">OWNER/NAME.</param>
internal sealed partial record HubName(string Id)
{
    private const int MaxLength = 96;

    /// <exception cref="UserError">The hub has no such names.</exception>
    internal static HubName Parse(string text)
    {
        // A pasted address is what people have at hand.
        var id = text.StartsWith(HubSettings.PublicEndpoint + "/", StringComparison.Ordinal) ? text[(HubSettings.PublicEndpoint.Length + 1)..].TrimEnd('/') : text;
        if (id.Length > MaxLength || !Pattern().IsMatch(id) || id.Contains("--") || id.Contains("..") || id.EndsWith(".git", StringComparison.Ordinal))
            throw new UserError(text, $"a model at the hub is called OWNER/NAME (letters, digits, '.', '_', '-'; at most {MaxLength} characters)", "copy the name from the top of its page");
        return new HubName(id);
    }

    /// <summary>A branch, tag or commit; pull requests are refs/pr/N.</summary>
    /// <exception cref="UserError">Git has no such names.</exception>
    internal static string Revision(string text) =>
        text.Length is > 0 and <= 200 && text.All(c => char.IsAsciiLetterOrDigit(c) || "-_./+".Contains(c)) && text.Split('/').All(part => part.Trim('.').Length > 0)
            ? text
            : throw new UserError($"--revision {text}", "is a branch, tag or commit", "leave it out for the main branch");

    /// <summary>Name of its folder in the cache.</summary>
    internal string Folder => "models--" + Id.Replace("/", "--");

    [GeneratedRegex(@"^([A-Za-z0-9_][A-Za-z0-9._-]*/)?[A-Za-z0-9_][A-Za-z0-9._-]*$")]
    private static partial Regex Pattern();
}
