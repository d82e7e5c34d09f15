// peftalign plugins test ID: the conformance kit, the same checks as in the plugin's own tests. Exit code 1 if one fails.

using System.CommandLine;
using System.Text.Json.Nodes;
using PeftAlign.Host.CommandLine;
using PeftAlign.Testing;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Host.Commands.Plugins;

internal static class TestCommand
{
    public static Command Build(CommandFrame frame)
    {
        var folders = PluginFolders.Option();
        var id = new Argument<string>("ID") { Description = "A plugin's id, or a built plugin's folder." };
        var command = new Command("test", "run the conformance checks on a plugin") { id, folders };
        frame.OnRun(command, Uses.Nothing, (parsed, session, cancel) =>
        {
            var name = parsed.GetRequiredValue(id);
            var folder = File.Exists(Path.Combine(name, "plugin.json")) ? name : PluginsCommand.Find(PluginFolders.Search(parsed, folders).Scan(), name).Path;
            LibTorch.CheckSettings(); // else every check would say it
            var results = Conformance.Checks(folder).Select(check => (check.Name, Fault: Run(check, cancel))).ToArray();
            var failed = results.Count(result => result.Fault is not null);
            session.Output.Result(
                () => new JsonObject { ["checks"] = new JsonArray([.. results.Select(result => new JsonObject { ["name"] = result.Name, ["passed"] = result.Fault is null, ["message"] = result.Fault })]) },
                () => [.. results.Select(result => result.Fault is null ? $"ok      {result.Name}" : $"FAILED  {result.Name}\n        {result.Fault}"), $"{results.Length - failed} passed, {failed} failed"]);
            return Task.FromResult(failed == 0 ? ExitCode.Done : ExitCode.Failed);
        });
        return command;
    }

    private static string? Run(ConformanceCheck check, CancellationToken cancel)
    {
        cancel.ThrowIfCancellationRequested();
        try
        {
            check.Run();
            return null;
        }
        catch (ConformanceException e)
        {
            return e.Message;
        }
    }
}
