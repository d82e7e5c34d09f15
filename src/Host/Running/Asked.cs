// What a run was asked for on the command line.

using PeftAlign.Host.CommandLine;

namespace PeftAlign.Host.Running;

/// <param name="Manifest">The manifest's file, as given.</param>
/// <param name="Out">--out, or null.</param>
/// <param name="Overrides">--set, in order.</param>
/// <param name="Only">--only, or null.</param>
/// <param name="PluginFolders">--plugins, in order.</param>
/// <param name="DryRun">--dry-run: what is missing is a warning.</param>
/// <param name="UpdateLock">--update-lock.</param>
internal sealed record Asked(string Manifest, string? Out, string[] Overrides, string? Only, string[] PluginFolders, bool DryRun, bool UpdateLock)
{
    /// <summary>The command that goes on with this run.</summary>
    internal string Command(string folder)
    {
        string[] parts = ["peftalign", "run", Manifest, "--out", Out ?? Path.GetRelativePath(Environment.CurrentDirectory, folder), .. Overrides.SelectMany(o => (string[])["--set", o]), .. Only is null ? [] : (string[])["--only", Only], .. PluginFolders.SelectMany(p => (string[])["--plugins", p])];
        return string.Join(' ', parts.Select(ShellWord.Of));
    }
}
