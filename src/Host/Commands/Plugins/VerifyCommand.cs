// peftalign plugins verify [ID]: every file's SHA-256 against plugin.json. Exit code 2 where one differs.

using System.CommandLine;
using System.Text.Json.Nodes;
using PeftAlign.Host.CommandLine;
using PeftAlign.Plugins;

namespace PeftAlign.Host.Commands.Plugins;

internal static class VerifyCommand
{
    public static Command Build(CommandFrame frame)
    {
        var folders = PluginFolders.Option();
        var id = new Argument<string?>("ID") { Description = "One plugin only.", Arity = ArgumentArity.ZeroOrOne };
        var command = new Command("verify", "check that every file of every plugin is the one that was built") { id, folders };
        frame.OnRun(command, Uses.Nothing, (parsed, session, _) =>
        {
            var catalogue = PluginFolders.Search(parsed, folders).Scan();
            IReadOnlyList<PluginFolder> plugins = parsed.GetValue(id) is { } one ? [PluginsCommand.Find(catalogue, one)] : catalogue.Plugins;
            var results = plugins.Select(plugin => (Plugin: plugin, Faults: plugin.Verify())).ToArray();
            session.Output.Result(() => Document(results, catalogue.Failures), () => results.Where(result => result.Faults.Count == 0).Select(result => $"{result.Plugin.Manifest.Id} is as built ({result.Plugin.Manifest.Files.Count} files)"));
            string[] messages =
            [
                .. results.Where(result => result.Faults.Count > 0).Select(result => $"plugin {result.Plugin.Manifest.Id} in {result.Plugin.Path}: {string.Join("; ", result.Faults)}"),
                .. parsed.GetValue(id) is null ? catalogue.Failures.Select(failure => failure.Message.TrimEnd('.')) : [],
            ];
            if (messages.Length > 0) throw new PluginException($"{string.Join(". ", messages)}. Install or build what is named again.");
            return Task.FromResult(ExitCode.Done);
        });
        return command;
    }

    private static JsonObject Document(IEnumerable<(PluginFolder Plugin, IReadOnlyList<string> Faults)> results, IEnumerable<PluginFailure> failures) => new()
    {
        ["plugins"] = new JsonArray([.. results.Select(result => new JsonObject
        {
            ["id"] = result.Plugin.Manifest.Id,
            ["path"] = result.Plugin.Path,
            ["faults"] = new JsonArray([.. result.Faults.Select(fault => JsonValue.Create(fault))]),
        })]),
        ["failures"] = new JsonArray([.. failures.Select(failure => new JsonObject { ["path"] = failure.Path, ["message"] = failure.Message })]),
    };
}
