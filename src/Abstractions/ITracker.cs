// A tracker: where metrics go besides metrics.jsonl, such as TensorBoard's event files or a server. It only listens; neither what it does
// nor what it fails to do changes a result.

using System.Text.Json.Nodes;

namespace PeftAlign.Abstractions;

/// <summary>A tracker, made once in each job's process.</summary>
public interface ITracker
{
    /// <summary>Called when a job begins, or continues after it was stopped. The jobs of one process begin one after the other.</summary>
    /// <param name="job">The job.</param>
    /// <returns>The listener for this job.</returns>
    /// <remarks>Whatever this or the returned object throws is logged once; the job goes on without the tracker.</remarks>
    IJobTracker Start(TrackedJob job);
}

/// <summary>Listens to one job, called on one thread. The job waits for each call, so a slow receiver needs a queue of its own. Disposed at
/// the end, even where <see cref="End"/> was not called.</summary>
public interface IJobTracker : IDisposable
{
    /// <summary>The numbers of a step, as in metrics.jsonl. After an interruption the steps since the last checkpoint come again, and the later values count.</summary>
    /// <param name="step">1, 2, ... updates.</param>
    /// <param name="metrics">loss, learning_rate ...; may hold NaN.</param>
    void Log(long step, IReadOnlyDictionary<string, double> metrics);

    /// <summary>Called when the job ends.</summary>
    /// <param name="outcome">How it ended.</param>
    /// <param name="results">The numbers of its result (for an evaluation, its metrics); empty unless it finished.</param>
    void End(TrackedOutcome outcome, IReadOnlyDictionary<string, double> results);
}

/// <summary>How a job ended. A process that is killed reports nothing.</summary>
public enum TrackedOutcome
{
    /// <summary>It has a result.</summary>
    Finished,

    /// <summary>An error ended it.</summary>
    Failed,

    /// <summary>It was asked to stop, and continues with the next run.</summary>
    Interrupted,
}

/// <summary>A job as trackers see it.</summary>
/// <param name="Id">Equal for equal work, on every machine; the same when a stopped job continues.</param>
/// <param name="Kind">train, evaluate, merge ...</param>
/// <param name="Label">Its name for people.</param>
/// <param name="Folder">Full path of the job's folder. A tracker may write files of its own into it.</param>
/// <param name="Axes">model, dataset, method, seed ... as far as they apply.</param>
/// <param name="Options">All of the job's options.</param>
public sealed record TrackedJob(string Id, string Kind, string Label, string Folder, IReadOnlyDictionary<string, string> Axes, JsonObject Options);
