// Finished jobs that were made with other files of the program or of a plugin than today's, although the result versions are
// the same: they are reported, and with --strict repeated together with all that depends on them.

using PeftAlign.Core;

namespace PeftAlign.Host.Running;

internal static class ChangedFiles
{
    /// <summary>Jobs to do again: those made with other files and their dependents, in the plan's order. One that was only begun, or whose
    /// results were deleted, is among them: it would go on from records of what was made with those files.</summary>
    /// <param name="plan">The plan.</param>
    /// <param name="run">The run's folder.</param>
    /// <param name="files">What programs and plugins consist of today.</param>
    /// <param name="names">What has changed, in order of name.</param>
    internal static IReadOnlyList<PlanJob> Find(Plan plan, RunFolder run, FileHashes files, out IReadOnlyList<string> names)
    {
        var (touched, found, again) = (new HashSet<string>(), new SortedSet<string>(StringComparer.Ordinal), new List<PlanJob>());
        foreach (var job in plan.Jobs)
        {
            var folder = run.Job(job.Id);
            IReadOnlyList<string> changed = FinishedJob.Recorded(folder) is { } before ? files.ChangedSince(before, job) : [];
            found.UnionWith(changed);
            if (changed.Count == 0 && !job.DependsOn.Any(touched.Contains)) continue;
            touched.Add(job.Id);
            if (File.Exists(folder.Spec)) again.Add(job);
        }
        names = [.. found];
        return again;
    }

    /// <summary>Tells; with <paramref name="strict"/> forgets those jobs, so that the run makes them again.</summary>
    internal static void Handle(Plan plan, RunFolder run, FileHashes files, bool strict, Output output)
    {
        var again = Find(plan, run, files, out var names);
        if (again.Count == 0) return;
        var what = $"{again.Count(job => FinishedJob.Recorded(run.Job(job.Id)) is not null)} finished job(s) were made with other files of {string.Join(", ", names)}, of the same result versions";
        output.Remark(strict ? $"{what}; they are made again" : $"{what}; --strict makes them again");
        if (!strict) return;
        // Dependents first: if this is interrupted, what remains still shows which jobs must be repeated.
        foreach (var job in again.Reverse()) JobPreparation.Forget(run.Job(job.Id));
    }
}
