// A tracker: where metrics go besides metrics.jsonl, such as TensorBoard's event files or a server. It only listens: what it does,
// and what it fails to do, changes no result.

using System.Text.Json.Nodes;

namespace PeftAlign.Abstractions;

/// <summary>A tracker, made once in each job's process.</summary>
public interface ITracker
{
    /// <summary>A job begins, or goes on after it was stopped. Jobs of one process begin one after the other.</summary>
    /// <param name="job">Which.</param>
    /// <returns>What is told of this job.</returns>
    /// <remarks>Whatever this or the returned object throws is logged once; the job goes on without the tracker.</remarks>
    IJobTracker Start(TrackedJob job);
}

/// <summary>Told of one job, on one thread. The job waits meanwhile, so a slow receiver needs a queue of its own. Disposed at the end,
/// also where <see cref="End"/> was not called.</summary>
public interface IJobTracker : IDisposable
{
    /// <summary>Numbers of a step, as in metrics.jsonl. After a stop the steps behind the last checkpoint come again; the later ones count.</summary>
    /// <param name="step">1, 2, ... updates.</param>
    /// <param name="metrics">loss, learning_rate ...; may hold NaN.</param>
    void Log(long step, IReadOnlyDictionary<string, double> metrics);

    /// <summary>The job ends.</summary>
    /// <param name="outcome">How.</param>
    /// <param name="results">Numbers of its result, of an evaluation its metrics; empty unless it finished.</param>
    void End(TrackedOutcome outcome, IReadOnlyDictionary<string, double> results);
}

/// <summary>How a job ended. A process that is killed tells nothing.</summary>
public enum TrackedOutcome
{
    /// <summary>Its result is there.</summary>
    Finished,

    /// <summary>By an error.</summary>
    Failed,

    /// <summary>It was asked to stop, and goes on with the next run.</summary>
    Interrupted,
}

/// <summary>A job as trackers see it.</summary>
/// <param name="Id">Equal for equal work, on every machine; the same when a stopped job goes on.</param>
/// <param name="Kind">train, evaluate, merge ...</param>
/// <param name="Label">How people name it.</param>
/// <param name="Folder">Full path of the job's folder. A tracker may write files of its own into it.</param>
/// <param name="Axes">model, dataset, method, seed ... as far as they apply.</param>
/// <param name="Options">Everything that it was told.</param>
public sealed record TrackedJob(string Id, string Kind, string Label, string Folder, IReadOnlyDictionary<string, string> Axes, JsonObject Options);
