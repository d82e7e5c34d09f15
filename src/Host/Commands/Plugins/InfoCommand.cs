// peftalign plugins info ID: everything that plugin.json says, options with types, limits, defaults and docs.

using System.CommandLine;
using PeftAlign.Host.CommandLine;

namespace PeftAlign.Host.Commands.Plugins;

internal static class InfoCommand
{
    public static Command Build(CommandFrame frame)
    {
        var folders = PluginFolders.Option();
        var id = new Argument<string>("ID") { Description = "A plugin's id, such as methods.dpo." };
        var command = new Command("info", "what a plugin provides and every option of it") { id, folders };
        frame.OnRun(command, Uses.Nothing, (parsed, session, _) =>
        {
            var plugin = PluginsCommand.Find(PluginFolders.Search(parsed, folders).Scan(), parsed.GetRequiredValue(id));
            session.Output.Result(() => PluginReport.Document(plugin), () => PluginReport.Lines(plugin));
            return Task.FromResult(ExitCode.Done);
        });
        return command;
    }
}
