// peftalign job FOLDER: one job of a run, started by the executor; not advertised.

using System.CommandLine;
using PeftAlign.Host.CommandLine;
using PeftAlign.Host.Jobs;
using PeftAlign.Host.Running;

namespace PeftAlign.Host.Commands;

internal static class JobCommand
{
    public static CommandEntry Entry { get; } = new("job", "Runs one job of a run (the executor calls this).", Build) { IsHidden = true };

    private static Command Build(CommandFrame frame)
    {
        var folder = new Argument<string>("FOLDER") { Description = "jobs/ID of a run, with its job.json." };
        var command = new Command("job", Entry.Summary) { folder };
        frame.OnRun(command, Uses.Nothing, (parsed, _, cancel) =>
        {
            var path = Path.GetFullPath(parsed.GetValue(folder)!);
            if (!File.Exists(Path.Combine(path, "job.json"))) throw new UserError(path, "holds no job.json", "use peftalign run MANIFEST");
            var messages = Console.Out;
            Console.SetOut(Console.Error); // what a plugin prints goes to the log, not among the messages
            return Task.FromResult(JobProcess.Run(new JobFolder(path), messages, Console.OpenStandardInput(), cancel));
        });
        return command;
    }
}
