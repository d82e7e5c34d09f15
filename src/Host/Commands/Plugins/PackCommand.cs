// peftalign plugins pack: builds the plugin project of the working directory and makes one file of what the build wrote.

using System.CommandLine;
using System.Text.Json.Nodes;
using PeftAlign.Host.CommandLine;
using PeftAlign.Plugins;

namespace PeftAlign.Host.Commands.Plugins;

internal static class PackCommand
{
    public static Command Build(CommandFrame frame)
    {
        var target = new Option<string?>("--out") { HelpName = "FILE", Description = $"The file (default: ID-VERSION{PluginArchive.Extension} here)." };
        var command = new Command("pack", "build the plugin in this folder and make one file of it") { target };
        frame.OnRun(command, Uses.Nothing, async (parsed, session, cancel) =>
        {
            var folder = File.Exists(PluginManifest.FileName) ? Directory.GetCurrentDirectory() : await BuildAsync(session, cancel);
            var plugin = PluginFolder.Open(folder, PluginOrigin.Development);
            var file = Path.GetFullPath(parsed.GetValue(target) ?? $"{plugin.Manifest.Id}-{plugin.Manifest.Version}{PluginArchive.Extension}");
            if (!Directory.Exists(Path.GetDirectoryName(file))) throw new UserError($"--out {file}", "its folder is not there", "make the folder first");
            PluginArchive.Pack(plugin, file);
            session.Output.Result(
                () => new JsonObject { ["id"] = plugin.Manifest.Id, ["version"] = plugin.Manifest.Version, ["file"] = file },
                () => [file]);
            return ExitCode.Done;
        });
        return command;
    }

    private static async Task<string> BuildAsync(Session session, CancellationToken cancel)
    {
        var project = Project(Directory.GetCurrentDirectory());
        session.Output.Remark($"building {Path.GetFileName(project)}");
        // Not build, which leaves two empty folders among the temporary files each time.
        await Sdk.RunAsync(["msbuild", project, "-restore", "-p:Configuration=Release", "-nologo", "-v:q", "-nodeReuse:false"], $"{project} does not build", cancel);
        var folder = await Sdk.RunAsync(["msbuild", project, "-nologo", "-p:Configuration=Release", "-getProperty:TargetDir", "-nodeReuse:false"], $"{project} cannot be read", cancel);
        return folder.Trim();
    }

    // The project here, or the one in a folder below that is no test project.
    private static string Project(string folder)
    {
        string[] found = [.. Directory.GetFiles(folder, "*.?sproj"), .. Directory.GetDirectories(folder).SelectMany(sub => Directory.GetFiles(sub, "*.?sproj"))];
        string[] plugins = [.. found.Where(project => !Path.GetFileNameWithoutExtension(project).EndsWith(".Tests", StringComparison.Ordinal))];
        return plugins switch
        {
            [var one] => one,
            [] => throw new UserError("plugins pack", $"no plugin project in {folder} or one folder below", "change to a folder that 'peftalign plugins new' made"),
            _ => throw new UserError("plugins pack", $"several projects here: {string.Join(", ", plugins.Select(Path.GetFileName))}", "change to the folder of one of them"),
        };
    }
}
