// Finds what a plan's jobs ask for and cannot have, before any of them starts.

using PeftAlign.Abstractions;
using PeftAlign.Core;

namespace PeftAlign.Host.Running;

internal static class PlanFaults
{
    private const int ToldAtMost = 20;

    /// <summary>Asks every job. What several have alike, such as a data set that all seeds read, is said once.</summary>
    /// <param name="chosen">The plan.</param>
    /// <param name="fault">What is wrong with a job; null where nothing is.</param>
    /// <exception cref="UserErrorException">A line for each fault, as far as one can read them, and their number.</exception>
    internal static void ThrowIfAny(Plan chosen, Func<PlanJob, string?> fault)
    {
        var found = chosen.Jobs.Select(job => (job.Label, Why: fault(job))).Where(job => job.Why is not null).GroupBy(job => job.Why)
            .Select(same => $"{same.First().Label}{(same.Count() == 1 ? "" : same.Count() == 2 ? " and 1 job more" : $" and {same.Count() - 1} jobs more")}: {same.Key}").ToList();
        if (found.Count > 0) throw new UserErrorException(string.Join(Environment.NewLine, [.. found.Take(ToldAtMost), .. found.Count > ToldAtMost ? [$"and {found.Count - ToldAtMost} more faults"] : (string[])[], $"{found.Count} fault(s); nothing was started."]));
    }
}
