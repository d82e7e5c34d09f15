// A line on stderr every 10 seconds, for work whose results go elsewhere.

using System.Diagnostics;

namespace PeftAlign.Host.Inference;

internal sealed class Ticker(Output output, string what)
{
    private readonly Stopwatch clock = Stopwatch.StartNew();
    private TimeSpan last;
    private long done;

    /// <summary>Counts, and says where the work stands if it is time.</summary>
    internal void Add(int count)
    {
        done += count;
        if (clock.Elapsed - last < TimeSpan.FromSeconds(10)) return;
        last = clock.Elapsed;
        output.Remark($"{done} {what} ({last.TotalSeconds:0} s)");
    }
}
