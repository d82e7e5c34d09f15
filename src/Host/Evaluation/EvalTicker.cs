// How many items of a benchmark are answered, on stderr.

using PeftAlign.Host.CommandLine;

namespace PeftAlign.Host.Evaluation;

internal sealed class EvalTicker : IDisposable
{
    private readonly Output output;
    private readonly string benchmark;
    private readonly ProgressBeat beat;
    private (long First, long Done, long Total)? at;
    private bool isComplete;

    /// <param name="output">Where it is said.</param>
    /// <param name="benchmark">Its id.</param>
    /// <param name="time">null = the system's.</param>
    internal EvalTicker(Output output, string benchmark, TimeProvider? time = null)
    {
        (this.output, this.benchmark) = (output, benchmark);
        beat = new ProgressBeat(output, Line, time);
    }

    /// <summary>At first what earlier runs answered, then what is; the last item is said whenever it comes.</summary>
    internal void Say(long done, long total) => beat.Count(() =>
    {
        var isFirst = at is null;
        at = (at?.First ?? done, done, total);
        if (!isFirst) return done < total ? ProgressBeat.Often : TimeSpan.Zero;
        isComplete = done == total;
        output.Remark(done == total ? $"{benchmark}: all {total} items are answered already" : done > 0 ? $"{benchmark}: {done} of {total} items are answered already" : $"{benchmark}: {total} items");
        return null;
    });

    public void Dispose() => beat.Dispose();

    private string? Line(TimeSpan elapsed)
    {
        if (isComplete || at is not var (first, done, total)) return null;
        isComplete = done == total;
        return $"{benchmark}: {done} of {total} items ({(done - first) / Math.Max(0.001, elapsed.TotalSeconds):0.0}/s)";
    }
}
