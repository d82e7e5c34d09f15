// How long a run will still take: each open job as long as finished ones of its kind (those of earlier tries of the run included),
// a running job by its own pace.

using System.Diagnostics;
using PeftAlign.Core;
using PeftAlign.Host.Jobs;

namespace PeftAlign.Host.Running;

/// <summary>A job at work, as displays show it.</summary>
internal sealed class RunningJob(string label)
{
    private readonly Stopwatch clock = Stopwatch.StartNew();
    private (long Done, double Seconds)? first;
    private long done;
    private long total;
    private string text = "";

    internal string Label => label;

    internal double Seconds => clock.Elapsed.TotalSeconds;

    /// <summary>By the pace since the first report, since loading a model is no part of it; null before the second.</summary>
    internal double? SecondsLeft => first is { } from && done > from.Done ? (total - done) * (Seconds - from.Seconds) / (done - from.Done) : null;

    internal string Summary => total == 0
        ? $"working, {RunDisplay.Duration(Seconds)}"
        : $"{done}/{total}{(text.Length > 0 ? ", " + text : "")}, {RunDisplay.Duration(Seconds)}{(SecondsLeft is > 0 and var left ? $", {RunDisplay.Duration(left)} left" : "")}";

    internal void Reached(long now, long of, string what)
    {
        (done, total, text) = (now, of, what);
        first ??= (now, Seconds);
    }
}

/// <param name="atOnce">Most processes at once.</param>
internal sealed class RunEstimate(int atOnce)
{
    private readonly Dictionary<string, (int Count, double Seconds)> took = [];
    private readonly Dictionary<string, int> open = [];

    internal void Start(IReadOnlyList<PlanJob> jobs, RunFolder run)
    {
        foreach (var job in jobs)
            if (run.IsSettled(job))
            {
                if (Timing.Read(run.Job(job.Id)) is { } timing) Took(job.Kind, timing.Seconds);
            }
            else open[job.Kind] = open.GetValueOrDefault(job.Kind) + 1;
    }

    internal void Ended(PlanJob job, double seconds, bool isFinished)
    {
        open[job.Kind] = open.GetValueOrDefault(job.Kind) - 1;
        if (isFinished) Took(job.Kind, seconds);
    }

    /// <summary>Null while nothing is known of a kind that is still to come.</summary>
    /// <param name="running">Seconds left of the running jobs by their own pace, null where unknown.</param>
    internal double? SecondsLeft(IReadOnlyDictionary<string, double?> running)
    {
        var open = this.open.Where(kind => kind.Value > 0).ToList();
        var known = running.Values.OfType<double>().ToList();
        if (open.Sum(kind => kind.Value) is var count && count == running.Count && known.Count == count) return known.DefaultIfEmpty(0).Max();
        if (open.Any(kind => !took.ContainsKey(kind.Key))) return null;
        return open.Sum(kind => kind.Value * took[kind.Key].Seconds / took[kind.Key].Count) / Math.Min(atOnce, Math.Max(1, count));
    }

    private void Took(string kind, double seconds)
    {
        var (count, sum) = took.GetValueOrDefault(kind);
        took[kind] = (count + 1, sum + seconds);
    }
}
