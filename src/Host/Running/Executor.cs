// Runs a plan: every job in a process of its own, after those that it depends on, at most N at once. A finished job is
// never run again; one that fails takes only its dependents with it.

using System.Text.Json.Nodes;
using PeftAlign.Core;
using PeftAlign.Host.Jobs;

namespace PeftAlign.Host.Running;

/// <param name="Done">Jobs finished now.</param>
/// <param name="Already">Jobs that were finished before.</param>
/// <param name="Failed">Label and message of jobs that failed.</param>
/// <param name="Skipped">Labels of jobs that need a failed one.</param>
internal sealed record RunSummary(int Done, int Already, IReadOnlyList<(string Label, string Error, int Code)> Failed, IReadOnlyList<string> Skipped);

/// <param name="run">The run's folder.</param>
/// <param name="root">Folder of the manifest.</param>
/// <param name="pluginFolders">Plugin id to folder; a job may load any of them, and loads what it names.</param>
/// <param name="atOnce">Most processes at once.</param>
/// <param name="threads">Processor threads for each.</param>
/// <param name="progress">Told of everything.</param>
internal sealed class Executor(RunFolder run, string root, IReadOnlyDictionary<string, string> pluginFolders, int atOnce, int threads, RunProgress progress)
{
    internal async Task<RunSummary> RunAsync(Plan plan, CancellationToken cancellation)
    {
        var jobs = plan.Jobs.Where(j => j.Kind != "report").ToList();
        var finished = jobs.Where(j => run.Job(j.Id).IsFinished).Select(j => j.Id).ToHashSet();
        var (already, failed, lost) = (finished.Count, new List<(string, string, int)>(), new HashSet<string>());
        var waiting = jobs.Where(j => !finished.Contains(j.Id)).ToList();
        var running = new Dictionary<Task<ChildProcess.End>, PlanJob>();
        progress.Start(jobs.Count, already);
        while (waiting.Count > 0 || running.Count > 0)
        {
            // A plan's jobs stand after those that they depend on, so one pass finds all that are lost.
            waiting.RemoveAll(j => j.DependsOn.Any(lost.Contains) && lost.Add(j.Id));
            var ready = cancellation.IsCancellationRequested ? [] : waiting.Where(j => j.DependsOn.All(finished.Contains)).Take(atOnce - running.Count).ToList();
            foreach (var job in ready)
            {
                waiting.Remove(job);
                running.Add(StartAsync(job, cancellation), job);
            }
            if (running.Count == 0) break;
            var task = await Task.WhenAny(running.Keys);
            running.Remove(task, out var ended);
            var end = await task;
            if (end.Code == ExitCode.Done && run.Job(ended!.Id).IsFinished) finished.Add(ended.Id);
            else if (!cancellation.IsCancellationRequested) lost.Add(ended!.Id);
            if (lost.Contains(ended!.Id)) failed.Add((ended.Label, end.Error, end.Code));
            progress.Ended(ended.Label, finished.Contains(ended.Id));
        }
        cancellation.ThrowIfCancellationRequested();
        var skipped = jobs.Where(j => lost.Contains(j.Id) && failed.All(f => f.Item1 != j.Label)).Select(j => j.Label).ToList();
        return new RunSummary(finished.Count - already, already, failed, skipped);
    }

    private async Task<ChildProcess.End> StartAsync(PlanJob job, CancellationToken cancellation)
    {
        var folder = run.Job(job.Id);
        Directory.CreateDirectory(folder.Path);
        // A job that was begun keeps its number of threads: only so do resumed numbers equal unbroken ones.
        var own = File.Exists(folder.Spec) ? JobSpec.Read(folder).Threads : threads;
        new JobSpec(job.Id, job.Kind, job.Label, JsonNode.Parse(job.Options)!.AsObject(), root, own, [.. pluginFolders.Values]) { Inputs = [.. job.Inputs.Select(i => new JobInput(i.Place, i.Path, i.Hash))] }.Write(folder);
        progress.Started(job.Label);
        return await ChildProcess.RunAsync(folder, message => progress.Message(job.Label, message), cancellation);
    }
}
