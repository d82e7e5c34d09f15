// What a run reports while it works: to the display, the index and trackers.

using System.Text.Json.Nodes;
using PeftAlign.Core;

namespace PeftAlign.Host.Running;

/// <summary>Told of a run's jobs, one call at a time.</summary>
internal interface IRunWatcher
{
    /// <summary>Before the first job.</summary>
    /// <param name="jobs">All jobs of the plan.</param>
    /// <param name="run">Where they lie.</param>
    /// <param name="alreadyFinished">How many of them are finished.</param>
    void Start(IReadOnlyList<PlanJob> jobs, RunFolder run, int alreadyFinished);

    /// <summary>A job began.</summary>
    void Started(PlanJob job);

    /// <summary>A running job says something: {"done", "total", "text"}, {"waiting"} or {"warning"}.</summary>
    void Message(PlanJob job, JsonNode message);

    /// <summary>A job is finished, or failed if there is a failure.</summary>
    void Ended(PlanJob job, JobFailure? failure);

    /// <summary>A job never starts, because it needs one that failed.</summary>
    void Skipped(PlanJob job);

    /// <summary>A job stopped, because the run was asked to.</summary>
    void Interrupted(PlanJob job);
}
