// peftalign run MANIFEST: plan it, run what is not finished, report.

using System.CommandLine;
using System.Text.Json.Nodes;
using PeftAlign.Host.CommandLine;
using PeftAlign.Host.Jobs;
using PeftAlign.Host.Running;

namespace PeftAlign.Host.Commands;

internal static class RunCommand
{
    public static CommandEntry Entry { get; } = new("run", "Runs an experiment: trains, evaluates, reports; continues where it was.", Build);

    private static Command Build(CommandFrame frame)
    {
        var manifest = new Argument<string>("MANIFEST") { Description = "The experiment, a YAML file." };
        var target = new Option<string?>("--out") { HelpName = "DIR", Description = "Folder of the run (default: out/NAME in the working directory)." };
        var dry = new Option<bool>("--dry-run") { Description = "Say what would be done." };
        var only = new Option<string?>("--only") { HelpName = "GLOB", Description = "Only jobs with a matching label, and what they need." };
        var set = new Option<string[]>("--set") { HelpName = "PATH=VALUE", Description = "Change the manifest; may be repeated." };
        var jobs = new Option<int>("--jobs") { HelpName = "N", Description = "Jobs at once; each gets its share of the cores.", DefaultValueFactory = _ => 1 };
        var plugins = new Option<string[]>("--plugins") { HelpName = "DIR", Description = "Further folders of plugins." };
        var updateLock = new Option<bool>("--update-lock") { Description = "Take the plugins that are found into the manifest's lock." };
        var command = new Command("run", Entry.Summary) { manifest, target, dry, only, set, jobs, plugins, updateLock };
        frame.OnRun(command, Uses.Threads, (parsed, session, cancel) =>
        {
            var atOnce = parsed.GetValue(jobs);
            if (atOnce < 1) throw new UserError($"--jobs {atOnce}", "must be at least 1", "give the number of jobs to run at once");
            var planned = Planning.Read(parsed.GetValue(manifest)!, parsed.GetValue(target), parsed.GetValue(set) ?? [], parsed.GetValue(only), parsed.GetValue(plugins) ?? [], parsed.GetValue(dry), parsed.GetValue(updateLock));
            return parsed.GetValue(dry) ? Task.FromResult(Describe(planned, session.Output)) : RunAsync(planned, atOnce, session, cancel);
        });
        return command;
    }

    private static int Describe(Planned planned, Output output)
    {
        output.Result(
            () => new JsonObject
            {
                ["name"] = planned.Plan.Name,
                ["counts"] = new JsonObject(planned.Plan.Counts.Select(c => new KeyValuePair<string, JsonNode?>(c.Key, c.Value))),
                ["jobs"] = new JsonArray([.. planned.Plan.Jobs.Select(j => (JsonNode)new JsonObject { ["id"] = j.Id, ["kind"] = j.Kind, ["label"] = j.Label, ["finished"] = planned.Run.Job(j.Id).IsFinished })]),
            },
            () => [$"{planned.Plan.Name}: {string.Join(", ", planned.Plan.Counts.Select(c => $"{c.Value} {c.Key}"))}", .. planned.Plan.Jobs.Select(j => $"  {j.Label}{(planned.Run.Job(j.Id).IsFinished ? " (finished)" : "")}")]);
        return ExitCode.Done;
    }

    // plan.json: the graph, for people and tools; the run itself plans anew each time.
    private static JsonObject PlanOf(Planned planned) => new()
    {
        ["name"] = planned.Whole.Name,
        ["jobs"] = new JsonArray([.. planned.Whole.Jobs.Select(j => (JsonNode)new JsonObject
        {
            ["id"] = j.Id,
            ["kind"] = j.Kind,
            ["label"] = j.Label,
            ["depends_on"] = new JsonArray([.. j.DependsOn.Select(d => (JsonNode)d)]),
        })]),
    };

    private static async Task<int> RunAsync(Planned planned, int atOnce, Session session, CancellationToken cancel)
    {
        using var held = Planning.Hold(planned.Run);
        planned.Keep();
        RunFolder.Write(planned.Run.Plan, PlanOf(planned).ToJsonString(new() { WriteIndented = true }) + "\n");
        var threads = Math.Max(1, (session.Global.Threads ?? Environment.ProcessorCount) / atOnce);
        using var progress = new RunProgress(session.Output);
        var executor = new Executor(planned.Run, planned.Root, planned.PluginFolders, atOnce, threads, progress);
        var summary = await executor.RunAsync(planned.Plan, cancel);
        var report = ReportJob.Build(planned.Whole.Name, planned.Whole.Jobs, planned.Run);
        RunFolder.Write(planned.Run.Report, report.ToJsonString(new() { WriteIndented = true }) + "\n");
        session.Output.Result(() => report, () => ReportJob.Lines(report));
        if (summary is { Done: 0, Failed.Count: 0 }) session.Output.Remark($"nothing to do: all {summary.Already} jobs are finished in {planned.Run.Path}");
        foreach (var (label, error, _) in summary.Failed) session.Output.Remark($"failed: {label}: {error}");
        if (summary.Skipped.Count > 0) session.Output.Remark($"not started, because they need a failed job: {string.Join(", ", summary.Skipped)}");
        if (summary.Failed.Count == 0) return ExitCode.Done;
        session.Output.Remark("run the same command again to continue");
        return summary.Failed.All(f => f.Code == ExitCode.UserError) ? ExitCode.UserError : ExitCode.Failed;
    }
}
