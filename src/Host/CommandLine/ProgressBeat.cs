// When long work says how far it is: 10 seconds after its last line where something was done, 30 where nothing was, as with a large model.

namespace PeftAlign.Host.CommandLine;

internal sealed class ProgressBeat : IDisposable
{
    /// <summary>At the soonest, where something was done.</summary>
    internal static readonly TimeSpan Often = TimeSpan.FromSeconds(10);

    private static readonly TimeSpan Silence = TimeSpan.FromSeconds(30);

    private readonly Output output;
    private readonly Func<TimeSpan, string?> line;
    private readonly TimeProvider time;
    private readonly long begun;
    private readonly ITimer timer;
    private readonly Lock door = new();
    private TimeSpan last;
    private bool isEnded;

    /// <param name="output">Where it is said.</param>
    /// <param name="line">What is said so long after the beginning; null = nothing. It is asked while nothing is counted.</param>
    /// <param name="time">null = the system's.</param>
    internal ProgressBeat(Output output, Func<TimeSpan, string?> line, TimeProvider? time = null)
    {
        (this.output, this.line, this.time) = (output, line, time ?? TimeProvider.System);
        begun = this.time.GetTimestamp();
        timer = this.time.CreateTimer(_ => Count(() => Silence), null, Silence, Silence);
    }

    /// <summary>Counts what was done, and says the line if it is time.</summary>
    /// <param name="done">Counts; the answer is how long after the last line the next one is due, null = not now.</param>
    internal void Count(Func<TimeSpan?> done)
    {
        lock (door)
        {
            var elapsed = time.GetElapsedTime(begun);
            if (isEnded || done() is not { } after || elapsed - last < after || line(elapsed) is not { } text) return;
            last = elapsed;
            output.Remark(text);
        }
    }

    /// <summary>Says no more: a beat that waits comes too late.</summary>
    public void Dispose()
    {
        timer.Dispose();
        lock (door) isEnded = true;
    }
}
