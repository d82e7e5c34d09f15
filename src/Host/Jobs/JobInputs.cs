// A job's id says of what content its result is. So before it works, and again before its result stands, what it reads is compared with
// what the plan saw there: the kernel's word first, which costs a look at each file, the content only where that is another.

using PeftAlign.Host.Evaluation;
using PeftAlign.Host.Running;

namespace PeftAlign.Host.Jobs;

internal static class JobInputs
{
    // Beside the folders, what a job would go on from, or what says what it went on from.
    private static readonly string[] Unfinished = ["metrics.jsonl", "ledger.json", "run.json", ItemRecords.FileName];

    /// <summary>Ends a job of which an input holds something else than the plan saw.</summary>
    /// <exception cref="UserError">Which.</exception>
    internal static void ThrowIfChanged(JobContext job)
    {
        ContentHashes? hashes = null;
        foreach (var input in (job.Spec.Inputs ?? []).Concat(job.Spec.Beneath ?? []))
        {
            if (input.Stamp is not { } stamp || input.Sha256.Length == 0) continue;
            hashes ??= new ContentHashes(job.Spec.Hashes, job.Spec.Root) { Cancellation = job.Cancellation };
            if (!hashes.IsStill(input.Path, new SeenContent(input.Sha256, stamp, input.Named))) throw ContentHashes.Changed(job.Spec.FullPath(input.Path));
        }
        hashes?.Save(); // of what was touched and holds the same: the next job need not read it
    }

    /// <summary>The same after the work, of which nothing stays then: it may have read either content.</summary>
    /// <inheritdoc cref="ThrowIfChanged"/>
    internal static void ThrowIfChangedMeanwhile(JobContext job)
    {
        try
        {
            ThrowIfChanged(job);
        }
        catch (UserError)
        {
            RunFolder.DeleteFolders(job.Folder.Path);
            foreach (var name in Unfinished) File.Delete(job.Folder.File(name));
            throw;
        }
    }
}
