// A line on stderr every 10 seconds, for work whose results go elsewhere; every 30 where nothing is done for so long, as with a large model.

using System.Diagnostics;

namespace PeftAlign.Host.Inference;

internal sealed class Ticker : IDisposable
{
    private static readonly TimeSpan Often = TimeSpan.FromSeconds(10), Silence = TimeSpan.FromSeconds(30);

    private readonly Output output;
    private readonly string what;
    private readonly TimeProvider time;
    private readonly long begun;
    private readonly ITimer timer;
    private readonly Lock door = new();
    private TimeSpan last;
    private long done;

    /// <param name="output">Where it is said.</param>
    /// <param name="what">What is counted, and what became of it.</param>
    /// <param name="time">null = the system's.</param>
    internal Ticker(Output output, string what, TimeProvider? time = null)
    {
        (this.output, this.what, this.time) = (output, what, time ?? TimeProvider.System);
        begun = this.time.GetTimestamp();
        timer = this.time.CreateTimer(_ => Add(0, Silence), null, Silence, Silence);
    }

    /// <summary>The same where a work counts by itself: what is done, of how many.</summary>
    internal static Action<int, int> Counter(Output output, string what)
    {
        var (clock, last) = (Stopwatch.StartNew(), TimeSpan.Zero);
        return (done, total) =>
        {
            if (clock.Elapsed - last < Often) return;
            last = clock.Elapsed;
            output.Remark($"{done} of {total} {what} ({last.TotalSeconds:0} s)");
        };
    }

    /// <summary>Counts, and says where the work stands if it is time.</summary>
    internal void Add(int count) => Add(count, Often);

    /// <summary>Says no more.</summary>
    public void Dispose()
    {
        timer.Dispose();
        lock (door) last = TimeSpan.MaxValue; // a beat that waits comes too late
    }

    private void Add(int count, TimeSpan after)
    {
        lock (door)
        {
            done += count;
            if (last == TimeSpan.MaxValue || time.GetElapsedTime(begun) - last < after) return;
            last = time.GetElapsedTime(begun);
            output.Remark($"{done} {what} ({last.TotalSeconds:0} s)");
        }
    }
}
