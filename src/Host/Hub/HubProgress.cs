// Bytes of all files together, a line every few seconds.

using System.Diagnostics;
using PeftAlign.Host.Inspection;

namespace PeftAlign.Host.Hub;

internal sealed class HubProgress : IAsyncDisposable
{
    private readonly Dictionary<HubFile, Func<long>> watched = [];
    private readonly Stopwatch clock = Stopwatch.StartNew();
    private readonly Lock gate = new();
    private readonly Timer? timer;
    private readonly string id;
    private readonly long total;

    /// <param name="id">The model.</param>
    /// <param name="files">What is fetched.</param>
    /// <param name="tell">Takes a line; null = nobody watches.</param>
    internal HubProgress(string id, IReadOnlyList<HubFile> files, Action<string>? tell)
    {
        (this.id, total) = (id, files.Sum(file => file.Size ?? 0));
        var every = TimeSpan.FromSeconds(Console.IsErrorRedirected ? 10 : 2);
        if (tell is not null && files.Count > 0) timer = new Timer(_ => tell(Line()), null, every, every);
    }

    internal void Watch(HubFile file, Func<long> arrived)
    {
        lock (gate) watched[file] = arrived;
    }

    public ValueTask DisposeAsync() => timer?.DisposeAsync() ?? ValueTask.CompletedTask;

    private string Line()
    {
        long arrived;
        lock (gate) arrived = watched.Values.Sum(count => count());
        var rate = arrived / Math.Max(clock.Elapsed.TotalSeconds, 0.1);
        var left = rate > 0 && total > arrived ? $", {TimeSpan.FromSeconds((total - arrived) / rate):hh\\:mm\\:ss} left" : "";
        return $"{id}: {Sizes.Bytes(arrived)} of {(total > 0 ? Sizes.Bytes(total) : "unknown")}, {Sizes.Bytes((long)rate)}/s{left}";
    }
}
