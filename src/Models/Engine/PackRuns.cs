// Which rows each row of a pack sees, as runs: what the fused attention takes in the place of masks.

using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Models.Engine;

/// <summary>The runs of a pack, made at the first layer of each window.</summary>
/// <param name="segments">Its groups, in row order.</param>
internal sealed class PackRuns(IReadOnlyList<Segment> segments) : IDisposable
{
    private readonly Dictionary<long, RowRuns> byWindow = []; // 0 = none
    private readonly long[] groups = [.. segments.SelectMany(s => new long[] { s.Start, s.Length })];

    /// <summary>Whether runs say it all: no row hides single rows before it.</summary>
    internal bool SayAll { get; } = segments.All(s => s.Hidden.Count == 0);

    /// <summary>The runs under a window.</summary>
    /// <param name="window">Positions that a row sees, its own included; null = all.</param>
    internal RowRuns Of(long? window)
    {
        if (byWindow.TryGetValue(window ?? 0, out var known)) return known;
        var spans = new int[4 * segments.Sum(s => s.Length)];
        var next = 0;
        foreach (var segment in segments)
        {
            segment.Runs(spans.AsSpan(4 * next, 4 * segment.Length), window);
            next += segment.Length;
        }
        return byWindow[window ?? 0] = new RowRuns(torch.tensor(spans).view(-1, 4).DetachFromDisposeScope(), groups);
    }

    public void Dispose()
    {
        foreach (var runs in byWindow.Values) runs.Spans.Dispose();
    }
}
