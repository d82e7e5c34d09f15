// A clock that goes where a test puts it, and whose timer beats when the test says so: after it was stopped too, as a beat does that waited
// for a lock meanwhile.

namespace PeftAlign.Host.Tests;

internal sealed class Clock : TimeProvider
{
    private Action beat = () => { };
    private long seconds;

    public override long TimestampFrequency => 1;

    internal TimeSpan Period { get; private set; }

    internal bool IsStopped { get; private set; }

    public override long GetTimestamp() => seconds;

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        (beat, Period) = (() => callback(state), period);
        return new Stop(this);
    }

    internal void To(long second, bool beats = false)
    {
        seconds = second;
        if (beats) beat();
    }

    private sealed class Stop(Clock clock) : ITimer
    {
        public bool Change(TimeSpan dueTime, TimeSpan period) => true;

        public void Dispose() => clock.IsStopped = true;

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}
