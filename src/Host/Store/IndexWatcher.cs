// Keeps index.sqlite up to date while a run goes on. Whatever the index cannot do is made good when it is opened the next time.

using System.Text.Json.Nodes;
using Microsoft.Data.Sqlite;
using PeftAlign.Core;
using PeftAlign.Host.Running;

namespace PeftAlign.Host.Store;

internal sealed class IndexWatcher : IRunWatcher, IDisposable
{
    private const long Pause = 1_000; // milliseconds
    private RunFolder? run;
    private IRunIndex? index;
    private long last;

    public void Start(IReadOnlyList<PlanJob> jobs, RunFolder run, int alreadyFinished)
    {
        this.run = run;
        Refresh(always: true);
    }

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
        Close();
    }

    // A look at every folder: not after each of a thousand short jobs.
    private void Refresh(bool always = false)
    {
        if (run is null || (!always && Environment.TickCount64 - last < Pause)) return;
        try
        {
            index ??= SqliteIndex.Open(run);
            index.Refresh();
        }
        catch (Exception e) when (e is SqliteException or InvalidOperationException or IOException or UnauthorizedAccessException)
        {
            // A full disk: a transaction that could be neither ended nor taken back makes the connection useless.
            Close();
        }
        last = Environment.TickCount64;
    }

    private void Close()
    {
        try
        {
            index?.Dispose();
        }
        catch (Exception e) when (e is SqliteException or InvalidOperationException)
        {
            // it is dropped; the next opening compares with the directories again
        }
        index = null;
    }
}
