// peftalign run MANIFEST: plan it, run what is not finished, report.

using System.CommandLine;
using System.Text.Json.Nodes;
using PeftAlign.Host.CommandLine;
using PeftAlign.Host.Inference;
using PeftAlign.Host.Jobs;
using PeftAlign.Host.Reports;
using PeftAlign.Host.Running;
using PeftAlign.Host.Running.Estimates;
using PeftAlign.Host.Store;
using PeftAlign.Torch.Extras;
using Evaluated = PeftAlign.Host.Evaluation.Evaluated;

namespace PeftAlign.Host.Commands;

internal static class RunCommand
{
    public static CommandEntry Entry { get; } = new("run", "Runs an experiment: trains, evaluates, reports; continues where it was.", Build);

    private const int EndedToldAtMost = 20;
    private const int PoliciesToldAtMost = 4;
    private const int JobsToldAtMost = 100;
    private const int MissingToldAtMost = 20;

    private static Command Build(CommandFrame frame)
    {
        var manifest = new Argument<string>("MANIFEST") { Description = "The experiment, a YAML file." };
        var target = new Option<string?>("--out") { HelpName = "DIR", Description = "Folder of the run (default: out/NAME in the working directory)." };
        var dry = new Option<bool>("--dry-run") { Description = "Say what would be done, and about how long, with how much memory and disk." };
        var only = new Option<string?>("--only") { HelpName = "GLOB", Description = "Only jobs with a matching label, and what they need." };
        var set = new Option<string[]>("--set") { HelpName = "PATH=VALUE", Description = "Change the manifest; may be repeated." };
        var jobs = new Option<int>("--jobs") { HelpName = "N", Description = "Jobs at once; each gets its share of the cores.", DefaultValueFactory = _ => 1 };
        // Only the machine at hand is there; documents name others.
        var launcher = new Option<string>("--launcher") { HelpName = "local", DefaultValueFactory = _ => "local", Hidden = true };
        var plugins = PluginFolders.Option();
        var updateLock = new Option<bool>("--update-lock") { Description = "Write the plugins that are found to the manifest's lock." };
        var strict = new Option<bool>("--strict") { Description = "Repeat finished jobs that were made with other files of the program or a plugin." };
        var inexact = new Option<bool>("--inexact") { Description = "Go on from checkpoints of another libtorch, kernels or threads; numbers may differ from an unbroken run's." };
        var command = new Command("run", Entry.Summary) { manifest, target, dry, only, set, jobs, plugins, updateLock, strict, inexact, launcher };
        frame.OnRun(command, Uses.Device | Uses.Threads, (parsed, session, cancel) =>
        {
            PlannedParts.ThrowIfLauncher(parsed.GetValue(launcher)!);
            PlannedParts.ThrowIfDatabase("--out", parsed.GetValue(target));
            PlannedParts.ThrowIfOneOfMany();
            var atOnce = parsed.GetValue(jobs);
            if (atOnce < 1) throw new UserError($"--jobs {atOnce}", "must be at least 1", "give the number of jobs to run at once");
            var asked = new Asked(parsed.GetValue(manifest)!, parsed.GetValue(target), parsed.GetValue(set) ?? [], parsed.GetValue(only), parsed.GetValue(plugins)!, parsed.GetValue(dry), parsed.GetValue(updateLock));
            var planned = Planning.Read(asked, cancel);
            if (!asked.DryRun) return RunAsync(asked, planned, atOnce, parsed.GetValue(strict), parsed.GetValue(inexact), session, cancel);
            var threadsOfJob = Math.Max(1, (session.Global.Threads ?? Environment.ProcessorCount) / atOnce);
            var forecast = PlanForecast.Of(planned, threadsOfJob, atOnce, RunSettings.WouldBeOnGpu(planned.Run, session.Global.Device));
            if (!forecast.OnGpu) MemoryAtHand.WarnIfShort(forecast.Kinds.Select(kind => (kind.Memory, kind.Jobs - kind.Finished)), atOnce, session.Output);
            return Task.FromResult(Describe(asked.Manifest, planned, forecast, session.Output));
        });
        return command;
    }

    private static int Describe(string manifest, Planned planned, PlanForecast forecast, Output output)
    {
        var (plan, matrix, missing) = (planned.Plan, new MatrixTable(planned.Plan), planned.Missing);
        SayMissing(manifest, missing, "its name stands for its content", output);
        foreach (var warning in forecast.Warnings) output.Warn(warning);
        output.Result(
            () => new JsonObject
            {
                ["name"] = planned.Plan.Name,
                ["counts"] = new JsonObject(planned.Plan.Counts.Select(c => new KeyValuePair<string, JsonNode?>(c.Key, c.Value))),
                ["missing"] = new JsonArray([.. missing.Select(m => (JsonNode)new JsonObject { ["path"] = m.Path, ["line"] = m.Line, ["column"] = m.Column })]),
                ["forecast"] = forecast.Document(),
                ["matrix"] = matrix.Document(),
                ["jobs"] = new JsonArray([.. plan.Jobs.Select(j => (JsonNode)new JsonObject { ["id"] = j.Id, ["kind"] = j.Kind, ["label"] = j.Label, ["finished"] = planned.Run.IsSettled(j), ["repeats_from_step"] = Repeats.Of(planned.Run, j)?.From })]),
            },
            () =>
            [
                $"{plan.Name}: {string.Join(", ", plan.Counts.Select(c => $"{c.Value} {c.Key}"))}",
                .. forecast.Lines(),
                .. matrix.Lines(),
                "jobs:",
                .. plan.Jobs.Take(JobsToldAtMost).Select(j => $"  {j.Label}{(planned.Run.IsSettled(j) ? " (finished)" : planned.Run.Unanswered(j) is > 0 and var open ? $" (asks the judge {open} questions again)" : Repeats.Of(planned.Run, j) is { } repeats ? $" ({repeats.Text})" : "")}"),
                .. plan.Jobs.Count > JobsToldAtMost ? [$"  and {plan.Jobs.Count - JobsToldAtMost} more (--json has all)"] : (string[])[],
            ]);
        return ExitCode.Done;
    }

    private static void SayMissing(string manifest, IReadOnlyList<Core.MissingPath> missing, string what, Output output)
    {
        foreach (var path in missing.Take(MissingToldAtMost)) output.Warn($"{manifest}:{(path.Line > 0 ? $"{path.Line}:{path.Column}:" : "")} '{path.Path}' does not exist; {what}");
        if (missing.Count > MissingToldAtMost) output.Warn($"{missing.Count - MissingToldAtMost} more paths do not exist (run --dry-run --json has all)");
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
            ["axes"] = Axes(j.Axes),
            ["places"] = j.Labels.Count > 1 ? new JsonArray([.. j.Labels.Zip(j.Places, (label, axes) => (JsonNode)new JsonObject { ["label"] = label, ["axes"] = Axes(axes) })]) : null,
            ["depends_on"] = new JsonArray([.. j.DependsOn.Select(d => (JsonNode)d)]),
        })]),
        ["missing"] = planned.Missing.Count > 0 ? new JsonArray([.. planned.Missing.Select(path => (JsonNode)path.Path)]) : null,
    };

    private static JsonObject Axes(IReadOnlyDictionary<string, string> axes) => new(axes.Select(a => new KeyValuePair<string, JsonNode?>(a.Key, a.Value)));

    private static async Task<int> RunAsync(Asked asked, Planned planned, int atOnce, bool strict, bool inexact, Session session, CancellationToken cancel)
    {
        var (run, output) = (planned.Run, session.Output);
        LibTorch.CheckSettings(); // jobs of their own would each say it
        if (session.Global.Device is { } place) _ = ComputeDevice.Of(place); // one that is not there is refused before anything is written
        foreach (var warning in PlannedData.ThrowIfUnreadable(planned)) output.Warn(warning);
        SayMissing(asked.Manifest, planned.Missing, $"no job of --only {asked.Only} reads it", output);
        using var held = Planning.Hold(run);
        RunFolder.DeleteParts(run.Path);
        // Refusals first, since what --strict deletes is gone.
        var (threads, device) = RunSettings.Of(run, session.Global.Threads, session.Global.Device, atOnce, inexact);
        planned.Keep();
        planned.Claims.Write(run);
        // Made while files were away, a plan has their jobs under other ids: it does not take the place of one that has all that is to be run.
        if (planned.Missing.Count == 0 || !RunView.Plans(run, planned.Plan.Jobs.Select(job => job.Id))) RunFolder.Write(run.Plan, PlanOf(planned).ToJsonString(new() { WriteIndented = true }) + "\n");
        var files = new FileHashes(planned.Plugins);
        ChangedFiles.Handle(planned.Plan, run, files, strict, output);
        foreach (var job in planned.Plan.Jobs)
            if (Repeats.Of(run, job) is { } repeats) output.Remark($"{job.Label}: {repeats.Text}");
        var preparation = new JobPreparation(run, planned.Root, planned.Plugins.ToDictionary(p => p.Key, p => p.Value.Path), threads, inexact, files)
        {
            Device = device,
            Seen = planned.Seen,
            Jobs = planned.Whole.Jobs.ToDictionary(job => job.Id),
            Trackers = [.. planned.Whole.Trackers.Select(tracker => new TrackerSpec(tracker.Name, JsonNode.Parse(tracker.Options)!.AsObject()))],
        };
        var summary = await ExecuteAsync(asked, planned, preparation, atOnce, output, cancel);
        var isReported = true;
        try
        {
            Report(planned, output);
        }
        catch (IOException e) when (summary.Failed.Count > 0)
        {
            isReported = false; // what lies there is an earlier one's
            output.Failure($"the report cannot be written: {DiskMessage.Of(e)}"); // the failures below say more
        }
        WarnOfUnanswered(planned, output);
        return Conclude(asked, planned, summary, isReported, output);
    }

    private static async Task<RunSummary> ExecuteAsync(Asked asked, Planned planned, JobPreparation preparation, int atOnce, Output output, CancellationToken cancel)
    {
        try
        {
            return await RunHost.RunAsync(preparation, planned.Plan, atOnce, output, cancel);
        }
        catch (OperationCanceledException)
        {
            output.Remark($"stopped; what is done stays done; to continue: {asked.Command(planned.Run.Path)}");
            throw;
        }
    }

    private static void WarnOfUnanswered(Planned planned, Output output)
    {
        var lacking = planned.Plan.Jobs.Select(job => (job.Label, Open: planned.Run.Unanswered(job))).Where(job => job.Open > 0).ToList();
        foreach (var (label, open) in lacking.Take(EndedToldAtMost)) output.Warn(Evaluated.Told(label, open));
        if (lacking.Count > EndedToldAtMost) output.Warn($"{lacking.Count - EndedToldAtMost} more evaluations lack verdicts");
    }

    private static void Report(Planned planned, Output output)
    {
        var run = planned.Run;
        var model = ReportModel.Of(RunData.Read(run), planned.Claims.Text, planned.Claims.Name);
        var report = JsonReport.Of(model);
        RunFolder.Write(run.Report, report.ToJsonString(new() { WriteIndented = true }) + "\n");
        RunFolder.Write(run.Page, HtmlReport.Render(model));
        output.Result(() => report, () => [.. ReportJob.Lines(report), .. model.Claims.Count > 0 ? (string[])["verdicts, with 95 % intervals where no other level is said:"] : [], .. MarkdownReport.Verdicts(model).Select(line => $"{planned.Whole.Name}: {line}")]);
    }

    // What went wrong, and how to go on.
    private static int Conclude(Asked asked, Planned planned, RunSummary summary, bool isReported, Output output)
    {
        var run = planned.Run;
        foreach (var line in Policies(planned, run)) output.Remark(line);
        if (isReported) output.Remark($"report: {run.Page}");
        if (summary is { Done: 0, Failed.Count: 0 }) output.Remark($"nothing to do: all {summary.Already} jobs are finished in {run.Path}");
        if (summary.Failed.Count == 0) return ExitCode.Done;
        output.Failure($"{summary.Done + summary.Already} jobs are done, {summary.Failed.Count} failed, {summary.Skipped.Count} were not started because they need a failed one");
        foreach (var line in Ended("failed", [.. summary.Failed.Select(failure => $"{failure.Label}: {failure.Error}")])) output.Failure(line);
        foreach (var line in Ended("not started", summary.Skipped)) output.Failure(line);
        output.Failure($"what is done stays done; to continue: {asked.Command(run.Path)}");
        return summary.Failed.All(f => f.Code == ExitCode.UserError) ? ExitCode.UserError : ExitCode.Failed;
    }

    // Where the trained weights lie, which nobody finds by the ids of jobs alone.
    private static IEnumerable<string> Policies(Planned planned, RunFolder run)
    {
        var made = planned.Plan.Jobs.Where(job => job.Kind is "train" or "merge" && run.IsFinished(job)).SelectMany(job => ((string[])[run.Job(job.Id).Adapter, run.Job(job.Id).Model]).Where(Directory.Exists).Select(path => $"{job.Label}: {path}")).ToList();
        return made.Count <= PoliciesToldAtMost ? made : [$"policies: {Path.Combine(run.Path, "jobs")}/ID/adapter or model; peftalign runs show {ShellWord.Of(run.Path)} --json has the id of each"];
    }

    /// <summary>The lines of a summary's list: on a full disk every job of a large run fails with the same words.</summary>
    internal static IEnumerable<string> Ended(string how, IReadOnlyList<string> jobs) =>
        [.. jobs.Take(EndedToldAtMost).Select(job => $"{how}: {job}"), .. jobs.Count > EndedToldAtMost ? [$"{how}: {jobs.Count - EndedToldAtMost} more"] : (string[])[]];
}
