// Progress of a run on stderr: a line when a job starts and ends, and every 10 seconds where each running one stands.

using System.Diagnostics;
using System.Text.Json.Nodes;

namespace PeftAlign.Host.Running;

internal sealed class RunProgress(Output output) : IDisposable
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(10);
    private readonly Dictionary<string, (string Text, Stopwatch Clock)> running = [];
    private readonly Lock gate = new();
    private Timer? timer;
    private int total;
    private int done;

    internal void Start(int jobs, int already)
    {
        (total, done) = (jobs, already);
        if (already > 0) output.Remark($"{already} of {jobs} jobs are finished already");
        timer = new Timer(_ => Tell(), null, Interval, Interval);
    }

    internal void Started(string label)
    {
        lock (gate) running[label] = ("", Stopwatch.StartNew());
        output.Remark($"start {label}");
    }

    internal void Message(string label, JsonNode message)
    {
        if ((string?)message["waiting"] is { } reason) output.Remark($"{label}: waiting: {reason}");
        if (message["done"] is null) return;
        lock (gate)
            if (running.TryGetValue(label, out var job)) running[label] = ($"{message["done"]}/{message["total"]} {message["text"]}", job.Clock);
    }

    internal void Ended(string label, bool success)
    {
        lock (gate)
        {
            if (success) done++;
            running.Remove(label, out var job);
            output.Remark($"{(success ? "done" : "ended unfinished")} {label} ({job.Clock.Elapsed.TotalSeconds:0.0} s{(job.Text.Length > 0 ? ", " + job.Text : "")}) [{done}/{total}]");
        }
    }

    public void Dispose() => timer?.Dispose();

    private void Tell()
    {
        lock (gate)
            foreach (var (label, job) in running) output.Remark($"{label}: {(job.Text.Length > 0 ? job.Text : "working")} ({job.Clock.Elapsed.TotalSeconds:0} s)");
    }
}
