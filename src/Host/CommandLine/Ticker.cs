// How many are done, on stderr, for work whose results go elsewhere.

using System.Diagnostics;

namespace PeftAlign.Host.CommandLine;

internal sealed class Ticker : IDisposable
{
    private readonly ProgressBeat beat;
    private long done;

    /// <param name="output">Where it is said.</param>
    /// <param name="what">What is counted, and what became of it.</param>
    /// <param name="time">null = the system's.</param>
    internal Ticker(Output output, string what, TimeProvider? time = null) =>
        beat = new ProgressBeat(output, elapsed => $"{done} {what} ({elapsed.TotalSeconds:0} s)", time);

    /// <summary>The same where a work counts by itself: what is done, of how many.</summary>
    internal static Action<int, int> Counter(Output output, string what)
    {
        var (clock, last) = (Stopwatch.StartNew(), TimeSpan.Zero);
        return (done, total) =>
        {
            if (clock.Elapsed - last < ProgressBeat.Often) return;
            last = clock.Elapsed;
            output.Remark($"{done} of {total} {what} ({last.TotalSeconds:0} s)");
        };
    }

    /// <summary>Counts, and says where the work stands if it is time.</summary>
    internal void Add(int count) => beat.Count(() =>
    {
        done += count;
        return ProgressBeat.Often;
    });

    /// <summary>Says no more.</summary>
    public void Dispose() => beat.Dispose();
}
