// Progress of a run on stderr. On a terminal: a block that is drawn anew, with the whole graph in one line and a line for each
// running job. Elsewhere: a line when a job starts and ends, and every 10 seconds where everything stands.

using System.Text.Json.Nodes;
using PeftAlign.Core;

namespace PeftAlign.Host.Running;

/// <param name="output">Where it is shown.</param>
/// <param name="atOnce">Most processes at once.</param>
/// <param name="time">null = the system's.</param>
internal sealed class RunDisplay(Output output, int atOnce, TimeProvider? time = null) : IRunWatcher, IDisposable
{
    private const int LinesAtMost = 12;
    private readonly Dictionary<string, RunningJob> running = [];
    private readonly RunEstimate estimate = new(atOnce);
    private readonly TimeProvider time = time ?? TimeProvider.System;
    private readonly long begun = (time ?? TimeProvider.System).GetTimestamp();
    private readonly Lock gate = new();
    private ITimer? timer;
    private bool isEnded;
    private int total;
    private int done;
    private int failed;
    private int skipped;
    private int drawn;

    public void Start(IReadOnlyList<PlanJob> jobs, RunFolder run, int alreadyFinished)
    {
        (total, done) = (jobs.Count, alreadyFinished);
        estimate.Start(jobs, run);
        if (alreadyFinished > 0) output.Remark($"{alreadyFinished} of {jobs.Count} jobs are finished already");
        var interval = output.IsLive ? TimeSpan.FromSeconds(0.5) : TimeSpan.FromSeconds(10);
        timer = time.CreateTimer(_ => Tell(), null, interval, interval);
    }

    public void Started(PlanJob job)
    {
        lock (gate) running[job.Id] = new RunningJob(job.Label);
        Line($"start {job.Label}", isNews: false);
    }

    public void Message(PlanJob job, JsonNode message)
    {
        if ((string?)message["waiting"] is { } reason) Line($"{job.Label}: waiting: {reason}", isNews: true);
        if ((string?)message["warning"] is { } warning) Line($"{job.Label}: warning: {warning}", isNews: true);
        if (message["done"] is not { } at) return;
        lock (gate)
            if (running.TryGetValue(job.Id, out var state)) state.Reached((long)at, (long)message["total"]!, (string?)message["text"] ?? "");
    }

    public void Ended(PlanJob job, JobFailure? failure)
    {
        RunningJob? state;
        lock (gate)
        {
            if (failure is null) done++;
            else failed++;
            running.Remove(job.Id, out state);
            estimate.Ended(job, state?.Seconds ?? 0, isFinished: failure is null);
        }
        Line($"{(failure is null ? "done" : "FAILED")} {job.Label}{(state is null ? "" : $" ({state.Summary})")} [{done}/{total}]", isNews: failure is not null);
    }

    public void Skipped(PlanJob job)
    {
        lock (gate)
        {
            skipped++;
            estimate.Ended(job, 0, isFinished: false);
        }
    }

    public void Interrupted(PlanJob job)
    {
        lock (gate) running.Remove(job.Id);
        Line($"stopped {job.Label}", isNews: true);
    }

    /// <summary>Shows no more: a beat that waits, which stopping the clock does not call back, would draw below what is said of the end.</summary>
    public void Dispose()
    {
        timer?.Dispose();
        lock (gate)
        {
            isEnded = true;
            Erase();
        }
    }

    /// <summary>The whole graph in one line.</summary>
    internal string Whole()
    {
        var parts = new List<string> { $"{done} of {total} jobs done", $"{running.Count} running" };
        if (failed > 0) parts.Add($"{failed} failed");
        if (skipped > 0) parts.Add($"{skipped} not started");
        parts.Add($"{Duration(time.GetElapsedTime(begun).TotalSeconds)} so far");
        if (estimate.SecondsLeft(running.ToDictionary(r => r.Key, r => r.Value.SecondsLeft)) is { } left) parts.Add($"about {Duration(left)} left");
        return string.Join(", ", parts);
    }

    internal static string Duration(double seconds) => seconds switch
    {
        < 100 => $"{seconds:0} s",
        < 6000 => $"{seconds / 60:0} min",
        < 360_000 => $"{seconds / 3600:0.0} h",
        _ => $"{seconds / 86_400:0.0} days",
    };

    // News stand on a terminal too; the rest is there in the block.
    private void Line(string text, bool isNews)
    {
        lock (gate)
        {
            if (output.IsLive && !isNews && !output.Verbose) return;
            Erase();
            output.Remark(text);
        }
    }

    private void Tell()
    {
        lock (gate)
        {
            if (isEnded) return;
            if (output.IsLive) Draw();
            else
            {
                foreach (var job in running.Values) output.Remark($"{job.Label}: {job.Summary}");
                output.Remark(Whole());
            }
        }
    }

    private void Draw()
    {
        Erase();
        var width = Math.Max(20, Output.TerminalWidth - 1);
        string[] lines = [Whole(), .. running.Values.Take(LinesAtMost).Select(job => $"  {job.Label}: {job.Summary}")];
        if (running.Count > LinesAtMost) lines = [.. lines, $"  and {running.Count - LinesAtMost} more"];
        foreach (var line in lines) output.Remark(line.Length <= width ? line : line[..(width - 1)] + "…");
        drawn = lines.Length;
    }

    // ECMA-48: cursor up N lines, erase to the end of the screen.
    private void Erase()
    {
        if (drawn > 0) output.Write($"\u001b[{drawn}A\u001b[J");
        drawn = 0;
    }
}
