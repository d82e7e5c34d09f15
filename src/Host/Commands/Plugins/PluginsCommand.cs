// peftalign plugins: what is installed, whether it is whole, and the path of a plugin of one's own. No libtorch is opened.

using System.CommandLine;
using PeftAlign.Host.CommandLine;
using PeftAlign.Plugins;

namespace PeftAlign.Host.Commands.Plugins;

internal static class PluginsCommand
{
    private const string Summary = "list, check, make, pack and install plugins (a plugin is trusted code: it may do what you may)";

    public static CommandEntry Entry { get; } = new("plugins", Summary, Build);

    private static Command Build(CommandFrame frame) => new("plugins", Summary)
    {
        ListCommand.Build(frame), InfoCommand.Build(frame), VerifyCommand.Build(frame), NewCommand.Build(frame), PackCommand.Build(frame),
        AddCommand.Build(frame), TestCommand.Build(frame), RelinkCommand.Build(frame), SchemaCommand.Build(frame),
    };

    /// <summary>A plugin by its id.</summary>
    /// <exception cref="UserError">There is none.</exception>
    public static PluginFolder Find(PluginCatalogue catalogue, string id)
    {
        if (catalogue.Plugins.FirstOrDefault(plugin => plugin.Manifest.Id == id) is { } found) return found;
        if (catalogue.Failures.FirstOrDefault(failure => Path.GetFileName(failure.Path) == id) is { } failed) throw new PluginException(failed.Message);
        throw new UserError(id, "no such plugin", Near.DidYouMean(id, catalogue.Plugins.Select(plugin => plugin.Manifest.Id)) ?? "peftalign plugins list shows what is there; --plugins DIR adds a folder");
    }
}
