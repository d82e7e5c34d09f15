// peftalign plugins list: every plugin on the search path, what it provides, and what cannot be used and why.

using System.CommandLine;
using System.Text.Json.Nodes;
using PeftAlign.Host.CommandLine;
using PeftAlign.Plugins;

namespace PeftAlign.Host.Commands.Plugins;

internal static class ListCommand
{
    public static Command Build(CommandFrame frame)
    {
        var folders = PluginFolders.Option();
        var command = new Command("list", "every plugin and what it provides") { folders };
        frame.OnRun(command, Uses.Nothing, (parsed, session, _) =>
        {
            var catalogue = PluginFolders.Search(parsed, folders).Scan();
            session.Output.Result(() => Document(catalogue), () => Lines(catalogue));
            foreach (var failure in catalogue.Failures) session.Output.Remark($"peftalign: {failure.Message}");
            return Task.FromResult(ExitCode.Done);
        });
        return command;
    }

    private static JsonObject Document(PluginCatalogue catalogue) => new()
    {
        ["plugins"] = new JsonArray([.. catalogue.Plugins.Select(PluginReport.Document)]),
        ["failures"] = new JsonArray([.. catalogue.Failures.Select(failure => new JsonObject { ["path"] = failure.Path, ["message"] = failure.Message })]),
    };

    private static IEnumerable<string> Lines(PluginCatalogue catalogue)
    {
        var width = catalogue.Plugins.Select(plugin => plugin.Manifest.Id.Length).DefaultIfEmpty().Max();
        foreach (var plugin in catalogue.Plugins)
        {
            var provides = plugin.Manifest.Provides.GroupBy(provided => provided.Kind, (kind, all) => $"{kind} {string.Join(", ", all.Select(provided => provided.Name))}");
            yield return $"{plugin.Manifest.Id.PadRight(width)}  {plugin.Manifest.Version,-9} {plugin.Origin.ToString().ToLowerInvariant(),-10} {string.Join("; ", provides)}";
        }
        if (catalogue.Plugins.Count == 0) yield return "no plugins";
    }
}
