// peftalign job DIR ID...: jobs of a run that share a loaded model, started by the executor; not advertised.

using System.CommandLine;
using System.Text;
using PeftAlign.Host.CommandLine;
using PeftAlign.Host.Jobs;
using PeftAlign.Host.Running;

namespace PeftAlign.Host.Commands;

internal static class JobCommand
{
    public static CommandEntry Entry { get; } = new("job", "Runs jobs of a run (the executor calls this).", Build) { IsHidden = true };

    private static Command Build(CommandFrame frame)
    {
        var folder = new Argument<string>("DIR") { Description = "A run's folder; without an ID, a job's own." };
        var ids = new Argument<string[]>("ID") { Description = "Jobs of it, with a job.json each; done in this order.", Arity = ArgumentArity.ZeroOrMore };
        var command = new Command("job", Entry.Summary) { folder, ids };
        frame.OnRun(command, Uses.Nothing, (parsed, _, cancel) =>
        {
            var path = Path.GetFullPath(parsed.GetValue(folder)!);
            var run = new RunFolder(path);
            JobFolder[] jobs = parsed.GetValue(ids) is { Length: > 0 } given ? [.. given.Select(run.Job)] : [new JobFolder(path)];
            foreach (var job in jobs)
                if (!File.Exists(job.Spec)) throw new UserError(job.Path, "holds no job.json", "use peftalign run MANIFEST");
            // What a plugin prints goes to the log, not among the messages (Program.cs).
            var messages = TextWriter.Synchronized(new StreamWriter(Console.OpenStandardOutput(), new UTF8Encoding(false)) { AutoFlush = true });
            return Task.FromResult(JobProcess.Run(jobs, messages, Console.OpenStandardInput(), cancel));
        });
        return command;
    }
}
