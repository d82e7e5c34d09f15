// Which files of a model are fetched: what a model folder is read from, or what the user's patterns say.

using System.Text.RegularExpressions;

namespace PeftAlign.Host.Hub;

/// <param name="Include">Patterns with * and ?; empty = what a model folder needs.</param>
/// <param name="Exclude">Patterns of what to leave out.</param>
internal sealed record HubSelection(IReadOnlyList<string> Include, IReadOnlyList<string> Exclude)
{
    private static readonly string[] Texts = ["*.json", "*.txt", "*.model", "*.jinja", "LICENSE*", "README.md"];

    /// <summary>The files to fetch.</summary>
    /// <exception cref="UserError">There are none.</exception>
    internal IReadOnlyList<HubFile> Of(HubName name, IReadOnlyList<HubFile> files)
    {
        var chosen = files.Where(file => Wanted(file.Path, files) && !Exclude.Any(pattern => Matches(pattern, file.Path))).ToList();
        if (chosen.Count > 0) return chosen;
        var has = string.Join(", ", files.Take(12).Select(file => file.Path)) + (files.Count > 12 ? $" and {files.Count - 12} more" : "");
        throw new UserError(name.Id, $"none of its {files.Count} files {(Include.Count > 0 ? $"matches --include {string.Join(' ', Include)}" : "is one that a model folder is read from")}", $"it has {(has.Length > 0 ? has : "nothing")}");
    }

    // Weights once: safetensors before pickles, and not Mistral's second copy (consolidated) of the same tensors.
    private bool Wanted(string path, IReadOnlyList<HubFile> files)
    {
        if (Include.Count > 0) return Include.Any(pattern => Matches(pattern, path));
        if (path.Contains('/')) return Matches("additional_chat_templates/*.jinja", path);
        if (Texts.Any(pattern => Matches(pattern, path))) return true;
        bool Has(string pattern) => files.Any(file => !file.Path.Contains('/') && Matches(pattern, file.Path));
        if (Matches("consolidated*.safetensors", path)) return !Has("model*.safetensors");
        if (Matches("*.safetensors", path)) return true;
        return (Matches("pytorch_model*.bin", path) || Matches("adapter_model.bin", path)) && !Has("*.safetensors");
    }

    // As the hub's own tools: * also crosses folders.
    private static bool Matches(string pattern, string path) =>
        Regex.IsMatch(path, "^" + Regex.Escape(pattern).Replace(@"\*", ".*").Replace(@"\?", ".") + "$", RegexOptions.Singleline | RegexOptions.NonBacktracking);
}
