// Keeps index.sqlite up to date while a run goes on. Whatever the index cannot do is made good when it is opened the next time.

using System.Text.Json.Nodes;
using Microsoft.Data.Sqlite;
using PeftAlign.Core;
using PeftAlign.Host.Running;

namespace PeftAlign.Host.Store;

internal sealed class IndexWatcher : IRunWatcher, IDisposable
{
    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(1);
    private IRunIndex? index;
    private DateTime last;

    public void Start(IReadOnlyList<PlanJob> jobs, RunFolder run, int alreadyFinished) => index = SqliteIndex.Open(run);

    public void Started(PlanJob job) => Refresh();

    public void Message(PlanJob job, JsonNode message)
    {
    }

    public void Ended(PlanJob job, JobFailure? failure) => Refresh();

    public void Skipped(PlanJob job)
    {
    }

    public void Interrupted(PlanJob job)
    {
    }

    public void Dispose()
    {
        Refresh(always: true);
        index?.Dispose();
    }

    // A look at every folder: not after each of a thousand short jobs.
    private void Refresh(bool always = false)
    {
        if (!always && DateTime.UtcNow - last < Pause) return;
        try
        {
            index?.Refresh();
        }
        catch (Exception e) when (e is SqliteException or IOException or UnauthorizedAccessException)
        {
            // a full disk: the next opening compares with the directories again
        }
        last = DateTime.UtcNow;
    }
}
