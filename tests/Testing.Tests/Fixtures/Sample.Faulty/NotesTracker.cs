// A tracker that takes notes in the job's folder, right or wrong in one way.

using PeftAlign.Abstractions;

namespace Sample.Faulty;

/// <summary>Options of the tracker.</summary>
public sealed class TrackerOptions
{
    /// <summary>In which way to be wrong.</summary>
    public TrackerFault Fault { get; set; }
}

/// <summary>Ways for a tracker to be wrong.</summary>
public enum TrackerFault
{
    None,
    ChokesOnResults,
    ChokesOnNan,
    RefusesKnownSteps,
    ChokesOnInterrupts,
    WritesOver,
}

internal sealed class NotesTracker(TrackerFault fault) : ITracker
{
    private readonly Dictionary<string, long> seen = [];

    public IJobTracker Start(TrackedJob job) => new Notes(fault, job, seen);

    private sealed class Notes(TrackerFault fault, TrackedJob job, Dictionary<string, long> seen) : IJobTracker
    {
        public void Log(long step, IReadOnlyDictionary<string, double> metrics)
        {
            if (fault == TrackerFault.ChokesOnNan && metrics.Values.Any(double.IsNaN)) throw new InvalidDataException("NaN");
            if (fault == TrackerFault.RefusesKnownSteps && step <= seen.GetValueOrDefault(job.Id)) throw new InvalidDataException("again");
            seen[job.Id] = step;
            File.AppendAllText(Path.Combine(job.Folder, fault == TrackerFault.WritesOver ? "metrics.jsonl" : "notes.txt"), $"{step}\n");
        }

        public void End(TrackedOutcome outcome, IReadOnlyDictionary<string, double> results)
        {
            if (fault == TrackerFault.ChokesOnResults && double.IsFinite(results.GetValueOrDefault("acc", double.NaN))) throw new InvalidDataException("acc");
            if (fault == TrackerFault.ChokesOnInterrupts && outcome == TrackedOutcome.Interrupted) throw new InvalidDataException("interrupted");
        }

        public void Dispose()
        {
        }
    }
}
