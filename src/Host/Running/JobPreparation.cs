// Before a job's process starts: its job.json, and nothing left of what the plan no longer accepts.

using System.Text.Json.Nodes;
using PeftAlign.Core;
using PeftAlign.Host.Jobs;

namespace PeftAlign.Host.Running;

/// <param name="Run">The run's folder.</param>
/// <param name="Root">Folder of the manifest.</param>
/// <param name="PluginFolders">Plugin id to folder; a job may load any of them, and loads what it names.</param>
/// <param name="Threads">Processor threads of a job that is begun now.</param>
/// <param name="Inexact">Whether checkpoints of another libtorch or thread count are accepted.</param>
/// <param name="Files">What programs and plugins consist of.</param>
internal sealed record JobPreparation(RunFolder Run, string Root, IReadOnlyDictionary<string, string> PluginFolders, int Threads, bool Inexact, FileHashes Files)
{
    /// <summary>Where jobs compute that are begun now; null = each finds it out.</summary>
    internal string? Device { get; init; }

    /// <summary>What planning saw where the jobs' inputs lie; null = nothing that could be compared.</summary>
    internal ContentHashes? Seen { get; init; }

    /// <summary>The plan's jobs by id: what a job reads through others is theirs.</summary>
    internal IReadOnlyDictionary<string, PlanJob> Jobs { get; init; } = new Dictionary<string, PlanJob>();

    /// <summary>Where numbers of all jobs go.</summary>
    internal IReadOnlyList<TrackerSpec> Trackers { get; init; } = [];

    internal void Begin(PlanJob job)
    {
        var folder = Run.Job(job.Id);
        Directory.CreateDirectory(folder.Path);
        if (File.Exists(folder.Forgotten)) Forget(folder); // a kill came in between: its checkpoints are not to be gone on from
        // A finished training that lacks a point goes on from its last checkpoint before that point; one that ended early, from its
        // end. What the plan accepts stays: another process may have finished it since the plan was made, and an evaluation whose judge
        // was away keeps its numbers until it has better ones.
        if (!Run.IsFinished(job)) File.Delete(folder.Result);
        File.Delete(folder.Failure);
        // A job that was begun keeps its number of threads: only so do resumed numbers equal unbroken ones.
        var threads = !Inexact && JobSpec.Begun(folder) is { Threads: > 0 and var begun } ? begun : Threads;
        new JobSpec(job.Id, job.Kind, job.Label, JsonNode.Parse(job.Options)!.AsObject(), Root, threads, [.. PluginFolders.Values])
        {
            Device = Device,
            Inputs = [.. job.Inputs.Select(input => JobInput.Of(input, Seen))],
            Beneath = [.. new WeightsBeneath(Jobs).Of(job).Select(input => JobInput.Of(input, Seen))],
            Hashes = Run.Hashes,
            Axes = job.Axes,
            Trackers = Trackers,
            Keep = job.Keep,
            Until = job.Until,
            Inexact = Inexact,
            MadeWith = Files.Of(job),
        }.Write(folder);
    }

    /// <summary>
    /// Forgets all that a finished job left, so that it is done from the start. One rename decides: before it the job is whole and
    /// finished; after it, until the last file is gone, it is unfinished, and <see cref="Begin"/> goes on forgetting.
    /// </summary>
    internal static void Forget(JobFolder folder)
    {
        if (File.Exists(folder.Result)) File.Move(folder.Result, folder.Forgotten, overwrite: true);
        RunFolder.DeleteFolders(folder.Path);
        foreach (var path in Directory.GetFiles(folder.Path))
            if (path != folder.Log && path != folder.Lock && path != folder.Forgotten) File.Delete(path);
        File.Delete(folder.Forgotten);
    }
}
