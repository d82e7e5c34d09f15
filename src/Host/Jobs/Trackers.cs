// The trackers of one job. A tracker that throws is logged once and left alone from then on: the job does not notice.

using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using PeftAlign.Abstractions;

namespace PeftAlign.Host.Jobs;

/// <summary>A tracker of the manifest.</summary>
/// <param name="Name">As plugins provide it.</param>
/// <param name="Options">Checked by the plan.</param>
internal sealed record TrackerSpec(string Name, JsonObject Options);

internal sealed class Trackers : IDisposable
{
    private readonly ILogger logger;
    private readonly List<(string Name, IJobTracker Tracker)> listening = [];

    /// <summary>Makes them, and tells them that the job begins.</summary>
    internal Trackers(JobContext job)
    {
        logger = job.Logger;
        var spec = job.Spec;
        foreach (var tracker in spec.Trackers)
            Guard(tracker.Name, () =>
            {
                var contract = new JsonObject { ["name"] = tracker.Name, ["options"] = tracker.Options.DeepClone() };
                var started = job.Create<ITracker>(contract).Start(new TrackedJob(spec.Id, spec.Kind, spec.Label, job.Folder.Path, spec.Axes, spec.Options.DeepClone().AsObject()));
                listening.Add((tracker.Name, started));
            });
    }

    /// <summary>Whether anyone listens.</summary>
    internal bool Any => listening.Count > 0;

    internal void Log(long step, IReadOnlyDictionary<string, double> metrics) => Tell(tracker => tracker.Log(step, metrics));

    internal void End(TrackedOutcome outcome, IReadOnlyDictionary<string, double> results) => Tell(tracker => tracker.End(outcome, results));

    public void Dispose()
    {
        foreach (var (name, tracker) in listening) Guard(name, tracker.Dispose);
        listening.Clear();
    }

    private void Tell(Action<IJobTracker> what)
    {
        foreach (var (name, tracker) in listening.ToList())
            if (!Guard(name, () => what(tracker)))
            {
                listening.RemoveAll(known => known.Tracker == tracker);
                try
                {
                    tracker.Dispose();
                }
                catch (Exception)
                {
                    // told already
                }
            }
    }

    private bool Guard(string name, Action action)
    {
        try
        {
            action();
            return true;
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            logger.LogError(e, "the tracker {Name} failed and is told nothing more of this job, which goes on", name);
            return false;
        }
    }
}
