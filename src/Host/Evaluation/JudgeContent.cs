// A judge that lies in a folder or reads a file is told apart by what these hold, not by their names alone: its answers of before
// count no longer once they change.

using System.Text.Json.Nodes;
using PeftAlign.Host.Running;
using PeftAlign.Plugins;

namespace PeftAlign.Host.Evaluation;

internal static class JudgeContent
{
    /// <summary>Writes into a judge's definition, as content, the hash of everything that its options name by path.</summary>
    /// <param name="options">A benchmark's options; without a judge they stay as they are.</param>
    /// <param name="plugins">Know which of a judge's options are paths.</param>
    /// <param name="hashes">Relative paths start from its root.</param>
    internal static void Note(JsonObject options, PluginCatalogue plugins, ContentHashes hashes)
    {
        if (options["judge"] is not JsonObject judge || judge["options"] is not JsonObject own) return;
        var found = new List<string>();
        string Noted(string path)
        {
            found.Add(hashes.Of(path) ?? "missing");
            return path;
        }
        plugins.Find("judge", (string)judge["name"]!).Contract.Options.ReplacePaths(own, Noted);
        var content = string.Join(' ', found);
        if (content.Length > 0) judge["content"] = content;
    }
}
