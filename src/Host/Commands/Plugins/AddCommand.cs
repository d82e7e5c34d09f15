// peftalign plugins add FILE: unpacks a .peftplugin file into a folder of plugins, all or nothing.

using System.CommandLine;
using System.Text.Json.Nodes;
using PeftAlign.Host.CommandLine;
using PeftAlign.Plugins;

namespace PeftAlign.Host.Commands.Plugins;

internal static class AddCommand
{
    public static Command Build(CommandFrame frame)
    {
        var file = new Argument<string>("FILE") { Description = $"A {PluginArchive.Extension} file." };
        var folder = new Option<string?>("--plugins") { HelpName = "DIR", Description = $"Where to install (default: the first folder of {PluginSearch.Variable})." };
        var replace = new Option<bool>("--replace") { Description = "Replace another version that is installed." };
        var command = new Command("add", "install a packed plugin") { file, folder, replace };
        frame.OnRun(command, Uses.Nothing, (parsed, session, _) =>
        {
            var name = parsed.GetRequiredValue(file);
            var target = Path.GetFullPath(parsed.GetValue(folder) ?? Default(name));
            var (plugin, wasThere) = PluginArchive.Install(name, target, parsed.GetValue(replace));
            session.Output.Result(
                () => new JsonObject { ["id"] = plugin.Manifest.Id, ["version"] = plugin.Manifest.Version, ["path"] = plugin.Path, ["changed"] = !wasThere },
                () => [wasThere ? $"{plugin.Manifest.Id} {plugin.Manifest.Version} was there already, in {plugin.Path}" : $"installed {plugin.Manifest.Id} {plugin.Manifest.Version} in {plugin.Path}"]);
            return Task.FromResult(ExitCode.Done);
        });
        return command;
    }

    private static string Default(string file) =>
        Environment.GetEnvironmentVariable(PluginSearch.Variable)?.Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries).FirstOrDefault()
        ?? throw new UserError($"plugins add {file}", "no folder to install in", $"give --plugins DIR, or set {PluginSearch.Variable}; the product's own folder is replaced with the product");
}
