// Jobs of a run that no plan refers to, and how one is deleted: its result first, under its lock, so that a kill in the middle leaves
// an unfinished job and never half a finished one; job.json last, so that the next `runs gc` finds what is left.

using PeftAlign.Host.Jobs;
using PeftAlign.Host.Running;

namespace PeftAlign.Host.Store;

/// <param name="Folder">The job's.</param>
/// <param name="Label">How people name it.</param>
/// <param name="Bytes">On disk.</param>
/// <param name="IsRunning">Whether a process works on it.</param>
internal sealed record Garbage(JobFolder Folder, string Label, long Bytes, bool IsRunning)
{
    internal string Id => Folder.Id;

    /// <summary>What no plan refers to, by label.</summary>
    /// <param name="run">The run.</param>
    /// <param name="wanted">Ids that stay.</param>
    internal static IReadOnlyList<Garbage> Of(RunFolder run, IReadOnlySet<string> wanted)
    {
        var jobs = Path.Combine(run.Path, "jobs");
        if (!Directory.Exists(jobs)) return [];
        // Links lead elsewhere; a folder without job.json is not ours.
        var ours = new DirectoryInfo(jobs).GetDirectories().Where(folder => folder.LinkTarget is null && !wanted.Contains(folder.Name) && File.Exists(Path.Combine(folder.FullName, "job.json")));
        return [.. ours.Select(folder => Of(new JobFolder(folder.FullName), folder)).OrderBy(job => job.Label, StringComparer.Ordinal)];
    }

    private static Garbage Of(JobFolder job, DirectoryInfo folder) =>
        new(job, JobReading.Read(job, "")?.Label is { Length: > 0 } label ? label : job.Id, folder.EnumerateFiles("*", SearchOption.AllDirectories).Sum(file => file.Length), RunView.IsHeld(job));

    /// <summary>Deletes it; false where a process took it up meanwhile.</summary>
    internal bool Delete()
    {
        try
        {
            using var held = LockFile.Hold(Folder.Lock);
            File.Delete(Folder.Result);
            RunFolder.DeleteFolders(Folder.Path);
            // Without job.json the folder would not be known for ours: it goes last. What --strict had begun to forget stays marked till then.
            foreach (var path in Directory.GetFiles(Folder.Path))
                if (path != Folder.Spec && path != Folder.Forgotten) File.Delete(path);
            File.Delete(Folder.Forgotten);
            File.Delete(Folder.Spec);
            Directory.Delete(Folder.Path, recursive: true);
            return true;
        }
        catch (IOException e) when (e.HResult == JobProcess.WouldBlock)
        {
            return false;
        }
    }
}
