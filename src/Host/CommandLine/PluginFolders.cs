// --plugins DIR, the same for every command that looks plugins up.

using System.CommandLine;
using PeftAlign.Plugins;

namespace PeftAlign.Host.CommandLine;

internal static class PluginFolders
{
    /// <summary>The option that names further folders of plugins; may be given several times, and is empty where it is not given.</summary>
    public static Option<string[]> Option() => new("--plugins")
    {
        HelpName = "DIR",
        Description = $"A further folder of plugins; searched after the product's own and before {PluginSearch.Variable}.",
        DefaultValueFactory = _ => [],
    };

    /// <summary>The search path of a command.</summary>
    public static PluginSearch Search(ParseResult parsed, Option<string[]> folders) => PluginSearch.Of(AppContext.BaseDirectory, parsed.GetValue(folders)!);
}
