// What a job takes: its try at work, and, of a training that goes on from a checkpoint, what the steps before it took.

using System.Diagnostics;
using PeftAlign.Training;

namespace PeftAlign.Host.Jobs;

internal sealed class JobTime
{
    private readonly Stopwatch clock = Stopwatch.StartNew();
    private readonly TimeSpan processor = Environment.CpuUsage.TotalTime;

    /// <summary>When this try began; UTC.</summary>
    internal DateTime Started { get; } = DateTime.UtcNow;

    /// <summary>What this try took so far.</summary>
    internal Spent Now => new(clock.Elapsed.TotalSeconds, (Environment.CpuUsage.TotalTime - processor).TotalSeconds);

    /// <summary>What tries before took for work that this one did not do again.</summary>
    internal Spent Before { get; set; }
}
