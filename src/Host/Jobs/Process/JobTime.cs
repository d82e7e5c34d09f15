// The time that a job takes: that of its current try, and, for a training that continues from a checkpoint, that of the steps before.

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
