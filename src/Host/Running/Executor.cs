// Runs a plan in processes, dependencies first, at most N at once. A finished job is never run again, except an evaluation whose judge was
// away. A job that fails takes only its dependents with it; the rest of its process's jobs start again in another process.

using System.Text.Json.Nodes;
using PeftAlign.Core;
using PeftAlign.Host.Jobs;

namespace PeftAlign.Host.Running;

/// <param name="Label">The job.</param>
/// <param name="Error">Its own message, or how its process ended and the last lines of its log.</param>
/// <param name="Code">Exit code: 2 where the job says that it is the user's mistake.</param>
internal sealed record JobFailure(string Label, string Error, int Code);

/// <param name="Done">Jobs finished now.</param>
/// <param name="Already">Jobs that were finished before.</param>
/// <param name="Failed">Jobs that failed.</param>
/// <param name="Skipped">Labels of jobs that need a failed one.</param>
internal sealed record RunSummary(int Done, int Already, IReadOnlyList<JobFailure> Failed, IReadOnlyList<string> Skipped);

/// <param name="run">The run's folder.</param>
/// <param name="begin">Writes a job's job.json.</param>
/// <param name="atOnce">Most processes at once.</param>
/// <param name="watchers">Told of everything, on one thread at a time.</param>
internal sealed class Executor(RunFolder run, Action<PlanJob> begin, int atOnce, IReadOnlyList<IRunWatcher> watchers)
{
    private readonly Lock gate = new();
    private readonly List<JobFailure> failed = [];
    private readonly List<string> skipped = [];
    private readonly HashSet<string> again = []; // evaluations with a result that lacks answers
    private int done;

    /// <exception cref="OperationCanceledException">Cancelled; what was finished stays.</exception>
    internal async Task<RunSummary> RunAsync(Plan plan, CancellationToken cancellation)
    {
        var jobs = plan.Jobs.Where(j => j.Kind != "report").ToList();
        var agenda = new Agenda(jobs, run.IsSettled, j => JobKind.Find(j.Kind)?.Shares == true);
        Tell(w => w.Start(jobs, run, agenda.AlreadyFinished));
        var running = new List<Task>();
        while (!cancellation.IsCancellationRequested)
        {
            lock (gate)
                while (agenda.HasReady && running.Count < atOnce)
                    running.Add(RunTogetherAsync(agenda, agenda.Take(atOnce - running.Count), cancellation));
            if (running.Count == 0) break;
            var ended = await Task.WhenAny(running);
            running.Remove(ended);
            await ended;
        }
        await Task.WhenAll(running);
        cancellation.ThrowIfCancellationRequested();
        return new RunSummary(done, agenda.AlreadyFinished, failed, skipped);
    }

    // Runs jobs in one process. Those that it had not begun when it ended go back to the agenda.
    private async Task RunTogetherAsync(Agenda agenda, IReadOnlyList<PlanJob> jobs, CancellationToken cancellation)
    {
        var open = jobs.ToDictionary(j => j.Id);
        foreach (var (job, error) in Unbegun(jobs))
        {
            open.Remove(job.Id);
            lock (gate) Ended(agenda, job, ExitCode.Failed, error, cancellation);
        }
        if (open.Count == 0) return;
        var asked = open.Count;
        PlanJob? current = null;
        void OnMessage(JsonNode message)
        {
            lock (gate)
            {
                if ((string?)message["begun"] is { } begun)
                {
                    current = open[begun];
                    Tell(w => w.Started(current));
                }
                else if ((string?)message["ended"] is { } ended)
                {
                    current = null;
                    if (open.Remove(ended, out var job)) Ended(agenda, job, (int)message["code"]!, (string?)message["error"], cancellation);
                }
                else if (current is not null) Tell(w => w.Message(current, message));
            }
        }
        var end = await ChildProcess.RunAsync(run.Path, jobs.Select(j => j.Id).Where(open.ContainsKey).ToList(), OnMessage, cancellation);
        lock (gate)
        {
            // The job that was running, or the first one if the process ended before it began any.
            var blamed = current ?? (open.Count == asked ? open.Values.First() : null);
            if (blamed is not null && open.Remove(blamed.Id))
                Ended(agenda, blamed, end.Code, ChildProcess.Reason(end.Code, current is null ? end.Said : ChildProcess.LastLines(run.Job(blamed.Id).Log)), cancellation);
            foreach (var job in open.Values) agenda.PutBack(job);
        }
    }

    private void Ended(Agenda agenda, PlanJob job, int code, string? error, CancellationToken cancellation)
    {
        // An evaluation that is resumed keeps its former result until there is a new one, so only its process can tell whether it is done.
        var stays = code != ExitCode.Done && again.Contains(job.Id) && run.IsFinished(job) && !run.IsSettled(job);
        if (!stays && run.IsFinished(job))
        {
            done++;
            agenda.Finished(job);
            Tell(w => w.Ended(job, null));
        }
        else if (cancellation.IsCancellationRequested) Tell(w => w.Interrupted(job));
        else
        {
            var reason = error is { Length: > 0 } ? error : ChildProcess.Reason(code, ChildProcess.LastLines(run.Job(job.Id).Log));
            var failure = new JobFailure(job.Label, stays ? $"{reason.TrimEnd('.')}; its former result stays" : reason, code);
            failed.Add(failure);
            Note(run.Job(job.Id), new JsonObject { ["label"] = job.Label, ["code"] = code, ["error"] = failure.Error });
            Tell(w => w.Ended(job, failure));
            if (stays) agenda.Finished(job); // its dependents took such a result before
            else Skip(agenda.Failed(job));
        }
    }

    private void Skip(IReadOnlyList<PlanJob> jobs)
    {
        foreach (var lost in jobs)
        {
            skipped.Add(lost.Label);
            Tell(w => w.Skipped(lost));
        }
    }

    // Writes each job's job.json, and returns the jobs for which that failed (a full disk), since they would fail too.
    private List<(PlanJob Job, string Error)> Unbegun(IReadOnlyList<PlanJob> jobs)
    {
        var failures = new List<(PlanJob, string)>();
        foreach (var job in jobs)
        {
            if (run.IsFinished(job)) again.Add(job.Id);
            try
            {
                begin(job);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                failures.Add((job, DiskMessage.Of(e)));
            }
        }
        return failures;
    }

    // For `runs show`. Where the disk is full, the run's summary still names the failure.
    private static void Note(JobFolder folder, JsonObject failure)
    {
        try
        {
            RunFolder.Write(folder.Failure, failure.ToJsonString() + "\n");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return;
        }
    }

    private void Tell(Action<IRunWatcher> what)
    {
        foreach (var watcher in watchers) what(watcher);
    }
}
