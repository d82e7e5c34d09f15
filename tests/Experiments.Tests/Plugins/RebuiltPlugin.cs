// A plugin that was built again, of the same result versions: another file, and plugin.json with its hash.

using System.Security.Cryptography;

namespace PeftAlign.Experiments.Tests;

internal static class RebuiltPlugin
{
    /// <summary>Makes an installed plugin into one.</summary>
    /// <param name="plugin">Its folder.</param>
    internal static void Make(string plugin)
    {
        var file = Directory.GetFiles(plugin, "*.deps.json").Single();
        File.AppendAllText(file, "\n");
        var description = Peftalign.Json(Path.Combine(plugin, "plugin.json"));
        var row = description["files"]!.AsArray().Single(f => (string?)f!["path"] == Path.GetFileName(file))!;
        row["sha256"] = Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(file)));
        File.WriteAllText(Path.Combine(plugin, "plugin.json"), description.ToJsonString());
    }
}
