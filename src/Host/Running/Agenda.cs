// Which jobs may run next: those whose dependencies are finished, in the plan's order; jobs that share a loaded model together.
// Every job and every dependency is looked at once, so that a plan of 100,000 jobs costs 100,000 steps.

using PeftAlign.Core;

namespace PeftAlign.Host.Running;

/// <summary>The open jobs of a plan.</summary>
internal sealed class Agenda
{
    /// <summary>Most jobs of one process, so that little has to start again after a crash or an interrupt.</summary>
    internal const int MostTogether = 64;

    private readonly Dictionary<string, int> positions;
    private readonly IReadOnlyList<PlanJob> jobs;
    private readonly Func<PlanJob, bool> shares;
    private readonly List<int>[] dependents;
    private readonly int[] missing;
    private readonly bool[] closed;
    private readonly SortedSet<int> ready = [];
    private readonly Dictionary<string, SortedSet<int>> groups = [];

    /// <param name="jobs">In an order in which every job stands after those that it depends on.</param>
    /// <param name="isFinished">Asked once for each.</param>
    /// <param name="shares">Whether jobs of one group may run in one process.</param>
    internal Agenda(IReadOnlyList<PlanJob> jobs, Func<PlanJob, bool> isFinished, Func<PlanJob, bool> shares)
    {
        (this.jobs, this.shares) = (jobs, shares);
        positions = jobs.Select((job, k) => (job.Id, k)).ToDictionary(at => at.Id, at => at.k);
        dependents = [.. jobs.Select(_ => new List<int>())];
        missing = new int[jobs.Count];
        closed = [.. jobs.Select(isFinished)];
        for (var k = 0; k < jobs.Count; k++)
        {
            foreach (var on in jobs[k].DependsOn.Select(id => positions[id]).Where(on => !closed[on]))
            {
                missing[k]++;
                dependents[on].Add(k);
            }
            if (!closed[k] && missing[k] == 0) Put(k);
        }
        AlreadyFinished = closed.Count(c => c);
    }

    internal int AlreadyFinished { get; }

    /// <summary>Whether a job could start now.</summary>
    internal bool HasReady => ready.Count > 0;

    /// <summary>Takes the jobs of the next process; a group is dealt out over the free places.</summary>
    /// <param name="freePlaces">How many processes could start now, this one included.</param>
    internal IReadOnlyList<PlanJob> Take(int freePlaces)
    {
        var first = ready.Min;
        int[] taken = shares(jobs[first]) && groups[jobs[first].Group] is var group
            ? [.. group.Take(Math.Min(MostTogether, (group.Count + freePlaces - 1) / freePlaces))]
            : [first];
        foreach (var k in taken) Remove(k);
        return [.. taken.Select(k => jobs[k])];
    }

    /// <summary>Puts back a job that was taken and not begun.</summary>
    internal void PutBack(PlanJob job) => Put(positions[job.Id]);

    /// <summary>A taken job is finished: what waited for it may be ready.</summary>
    internal void Finished(PlanJob job)
    {
        foreach (var k in dependents[positions[job.Id]])
            if (--missing[k] == 0 && !closed[k]) Put(k);
    }

    /// <summary>A taken job failed.</summary>
    /// <returns>All that needed it, directly or not, and never starts.</returns>
    internal IReadOnlyList<PlanJob> Failed(PlanJob job)
    {
        var lost = new SortedSet<int>();
        var open = new Stack<int>([positions[job.Id]]);
        while (open.TryPop(out var at))
            foreach (var k in dependents[at].Where(k => !closed[k]))
            {
                closed[k] = true;
                lost.Add(k);
                open.Push(k);
            }
        return [.. lost.Select(k => jobs[k])];
    }

    private void Put(int k)
    {
        ready.Add(k);
        if (!shares(jobs[k])) return;
        if (!groups.TryGetValue(jobs[k].Group, out var group)) groups.Add(jobs[k].Group, group = []);
        group.Add(k);
    }

    private void Remove(int k)
    {
        ready.Remove(k);
        if (shares(jobs[k])) groups[jobs[k].Group].Remove(k);
    }
}
