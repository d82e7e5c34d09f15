// peftalign import trl: a manifest from a configuration of TRL's command line, with a list of what means something else.

using System.CommandLine;
using System.Text.Json.Nodes;
using PeftAlign.Host.CommandLine;
using PeftAlign.Host.Importing;
using PeftAlign.Host.Running;
using PeftAlign.Plugins;

namespace PeftAlign.Host.Commands;

internal static class ImportCommand
{
    private const string Summary = "a manifest from another tool's configuration: TRL's YAML";

    public static CommandEntry Entry { get; } = new("import", Summary, Build);

    private static Command Build(CommandFrame frame) => new("import", Summary) { Trl(frame) };

    private static Command Trl(CommandFrame frame)
    {
        var config = new Argument<string>("CONFIG.yaml") { Description = "What `trl METHOD --config` takes." };
        var method = new Option<string>("--method") { HelpName = "METHOD", Required = true, Description = $"TRL's trainer: {string.Join(", ", TrlKeys.Methods)}." };
        method.AcceptOnlyFromAmong([.. TrlKeys.Methods]);
        var output = new Option<string>("--out") { HelpName = "MANIFEST.yaml", Required = true, Description = "The new manifest; must not be there." };
        var plugins = PluginFolders.Option();
        const string description = """
            Writes a manifest of one training with the same settings, TRL's defaults (1.16) included where ours differ. Settings
            that mean something else here or could not be carried over are printed, and noted as comments in the manifest.
            """;
        var command = new Command("trl", description) { config, method, output, plugins };
        frame.OnRun(command, Uses.Nothing, (parsed, session, _) => Task.FromResult(
            Run(parsed.GetValue(config)!, parsed.GetValue(method)!, parsed.GetValue(output)!, PluginFolders.Search(parsed, plugins).Scan(), session)));
        return command;
    }

    private static int Run(string config, string method, string target, PluginCatalogue plugins, Session session)
    {
        var text = YamlFile.Read(config, "name a configuration of TRL in YAML");
        if (Path.Exists(target)) throw new UserError($"--out {target}", "is there already", "name another file, or remove it");
        var manifest = TrlImport.Read(text, config, method, plugins, target);
        NewFolder.Write(target, manifest.Yaml(Path.GetFileName(config)));
        session.Output.Result(
            () => new JsonObject { ["out"] = Path.GetFullPath(target), ["differs"] = Texts(manifest.Notes), ["not_carried_over"] = Texts(manifest.Dropped) },
            () => [.. manifest.Notes.Select(note => $"differs: {note}"), .. manifest.Dropped.Select(line => $"NOT carried over: {line}"), $"{target}: look at it, then peftalign run {target} --dry-run"]);
        return ExitCode.Done;
    }

    private static JsonArray Texts(IEnumerable<string> texts) => new([.. texts.Select(text => (JsonNode)text)]);
}
