// A job's id stands for the content that its result was made from. So before the job works, and again before its result is written, its
// inputs are compared with what the plan saw: first by size, times and inode, which is cheap, and by content only where these differ.

using PeftAlign.Host.Evaluation;
using PeftAlign.Host.Running;
using PeftAlign.Plugins;

namespace PeftAlign.Host.Jobs;

internal static class JobInputs
{
    // Besides folders: what a job would continue from, or what records what it continued from.
    private static readonly string[] Unfinished = ["metrics.jsonl", "ledger.json", "run.json", ItemRecords.FileName];

    /// <summary>Ends a job of which an input holds something else than the plan saw.</summary>
    /// <exception cref="UserError">Which.</exception>
    internal static void ThrowIfChanged(JobContext job)
    {
        if (Changed(job) is { } path) throw ContentHashes.Changed(path);
    }

    /// <summary>Ends a job of which a plugin was built or installed anew since the run began: its result would be noted as that of the files of before.</summary>
    /// <param name="spec">The job.</param>
    /// <param name="plugins">Those that it may load, as they lie there now.</param>
    /// <exception cref="UserError">Which.</exception>
    internal static void ThrowIfPluginChanged(JobSpec spec, IEnumerable<PluginFolder> plugins)
    {
        foreach (var plugin in plugins)
            if (spec.MadeWith.TryGetValue(plugin.Manifest.Id, out var before) && FileHashes.Of(plugin) != before)
                throw new UserError($"plugin {plugin.Manifest.Id} in {plugin.Path}", "was changed since this run began", "run the same command again, which takes it as it is now; what is done stays done");
    }

    /// <summary>Ends a training before it writes what would take configuration and tokenizer from another model than it began with.
    /// Nothing is deleted: its checkpoints are of the content of before.</summary>
    /// <exception cref="UserError">Which folder.</exception>
    internal static void ThrowIfModelChanged(JobContext job)
    {
        if (Changed(job, input => input.Place.EndsWith("weights", StringComparison.Ordinal)) is { } path)
            throw new UserError(path, $"changed while {job.Spec.Label} was at work, whose weights would be written beside what is there now", "put back what was there and run again; it goes on from its last checkpoint");
    }

    /// <summary>The same after the work, of which nothing stays then: it may have read either content. A training has read all of its rows
    /// before its first step, which is when it asks: hours of it are not given up for a file that was changed since, nor are its checkpoints
    /// for its model.</summary>
    /// <inheritdoc cref="ThrowIfChanged"/>
    internal static void ThrowIfChangedMeanwhile(JobContext job)
    {
        if (Changed(job) is not { } path) return;
        if (JobKind.Find(job.Spec.Kind)?.ReadsFirst == true)
        {
            ThrowIfModelChanged(job);
            var warning = $"{path}: changed while {job.Spec.Label} was at work, which had read it before; its numbers are of the content of before";
            job.Warn(warning);
            job.Say(warning);
            return;
        }
        RunFolder.DeleteFolders(job.Folder.Path);
        foreach (var name in Unfinished) File.Delete(job.Folder.File(name));
        throw ContentHashes.Changed(path);
    }

    // The first one of which the content is another.
    private static string? Changed(JobContext job, Func<JobInput, bool>? which = null)
    {
        ContentHashes? hashes = null;
        foreach (var input in (job.Spec.Inputs ?? []).Concat(job.Spec.Beneath ?? []).Where(which ?? (_ => true)))
        {
            if (input.Stamp is not { } stamp || input.Sha256.Length == 0) continue;
            hashes ??= new ContentHashes(job.Spec.Hashes, job.Spec.Root) { Cancellation = job.Cancellation };
            if (!hashes.IsStill(input.Path, new SeenContent(input.Sha256, stamp, input.Named))) return job.Spec.FullPath(input.Path);
        }
        hashes?.Save(); // of what was touched and holds the same: the next job need not read it
        return null;
    }
}
