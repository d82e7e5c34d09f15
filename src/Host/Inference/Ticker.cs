// A line on stderr every 10 seconds, for work whose results go elsewhere.

using System.Diagnostics;

namespace PeftAlign.Host.Inference;

internal sealed class Ticker(Output output, string what)
{
    private readonly Stopwatch clock = Stopwatch.StartNew();
    private TimeSpan last;
    private long done;

    /// <summary>The same where a work counts by itself: what is done, of how many.</summary>
    internal static Action<int, int> Counter(Output output, string what)
    {
        var (clock, last) = (Stopwatch.StartNew(), TimeSpan.Zero);
        return (done, total) =>
        {
            if (clock.Elapsed - last < TimeSpan.FromSeconds(10)) return;
            last = clock.Elapsed;
            output.Remark($"{done} of {total} {what} ({last.TotalSeconds:0} s)");
        };
    }

    /// <summary>Counts, and says where the work stands if it is time.</summary>
    internal void Add(int count)
    {
        done += count;
        if (clock.Elapsed - last < TimeSpan.FromSeconds(10)) return;
        last = clock.Elapsed;
        output.Remark($"{done} {what} ({last.TotalSeconds:0} s)");
    }
}
