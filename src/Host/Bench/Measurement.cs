// Two sides measured in turns, and what came out. The best run stands for a side: other work on the machine only adds time.

using System.Globalization;
using System.Text.Json.Nodes;

namespace PeftAlign.Host.Bench;

/// <summary>All runs of one side.</summary>
/// <param name="Seconds">Of each run.</param>
/// <param name="PeakMegabytes">Largest anonymous memory of its process.</param>
internal sealed record SideFigures(IReadOnlyList<double> Seconds, double PeakMegabytes)
{
    internal double Best => Seconds.Min();

    internal double Worst => Seconds.Max();
}

/// <summary>One row of the table.</summary>
/// <param name="Part">The part it belongs to.</param>
/// <param name="What">What was done.</param>
/// <param name="Ours">Our side.</param>
/// <param name="Peer">The peer's; null where there is none.</param>
/// <param name="Note">How the results compare, or null.</param>
internal sealed record Measurement(string Part, string What, SideFigures Ours, SideFigures? Peer, string? Note = null)
{
    /// <summary>How many times as fast we are, best against best.</summary>
    internal double? Ratio => Peer is null ? null : Peer.Best / Ours.Best;
}

/// <summary>How much to measure.</summary>
/// <param name="Rounds">Runs of each side, in turns.</param>
/// <param name="Threads">Compute threads of both.</param>
/// <param name="Python">A Python with the peers; null = our side alone.</param>
/// <param name="Script">The peers' side.</param>
/// <param name="Beside">Native part of another libtorch, on which our side is measured too; null = on no other.</param>
internal sealed record Effort(int Rounds, int Threads, string? Python, string Script, string? Beside = null)
{
    private static readonly string Program = Environment.ProcessPath!;

    // Under `dotnet X.dll` the program is dotnet.
    private static IEnumerable<string> Start { get; } = Path.GetFileNameWithoutExtension(Program) == "dotnet" ? [typeof(Effort).Assembly.Location] : [];

    // Our own runs take at least this many seconds together, for which a short run gets more rounds, up to a limit: the best of two runs of half a second would still depend on the machine's other work.
    private const double Enough = 3;
    private const int MostRounds = 8;

    /// <summary>Both sides as processes that stay, warmed up, then run in turns.</summary>
    internal (SideFigures Ours, SideFigures? Peer, JsonArray OurAnswer, JsonArray? PeerAnswer) Kept(string kind, string folder, string rows, CancellationToken cancel, IReadOnlyDictionary<string, string>? peersAllocator = null) =>
        Kept(() => Our(kind, folder, rows), () => Peer(kind, folder, rows, peersAllocator), cancel);

    /// <summary>Likewise of any two processes.</summary>
    internal (SideFigures Ours, SideFigures? Peer, JsonArray OurAnswer, JsonArray? PeerAnswer) Kept(Func<Side> first, Func<Side?> second, CancellationToken cancel)
    {
        var sides = Kept([first, second], cancel);
        return (sides[0]!.Value.Figures, sides[1]?.Figures, sides[0]!.Value.Answer, sides[1]?.Answer);
    }

    /// <summary>Likewise of any number, of which all but the first may be absent. A short run has more rounds.</summary>
    /// <returns>Of each process its figures and its first answer.</returns>
    internal (SideFigures Figures, JsonArray Answer)?[] Kept(Func<Side?>[] start, CancellationToken cancel)
    {
        var sides = new List<Side?>();
        try
        {
            foreach (var side in start) sides.Add(side());
            foreach (var side in sides) side?.Ready();
            var answers = sides.ConvertAll(side => side?.WarmUp());
            var seconds = sides.ConvertAll(_ => new List<double>());
            for (var round = 0; round < Rounds || (round < MostRounds && seconds[0].Sum() < Enough); round++)
            {
                cancel.ThrowIfCancellationRequested();
                for (var k = 0; k < sides.Count; k++)
                    if (sides[k] is { } side) seconds[k].Add(side.Run().Seconds);
            }
            return [.. sides.Select((side, k) => side is null ? ((SideFigures, JsonArray)?)null : (new(seconds[k], side.PeakMegabytes), answers[k]!.AsArray()))];
        }
        finally
        {
            foreach (var side in sides) side?.Dispose();
        }
    }

    /// <summary>Both sides as new processes for each run; libraries are loaded before the clock starts.</summary>
    internal (SideFigures Ours, SideFigures? Peer) Fresh(Func<Side> ours, Func<Side?> peer, CancellationToken cancel) => Turns(() => Once(ours()), () => peer() is { } side ? Once(side) : null, cancel);

    /// <summary>Two ways to take one measurement, in turns; the first of each does not count.</summary>
    internal (SideFigures Ours, SideFigures? Peer) Turns(Func<(double Seconds, double Peak)> ours, Func<(double Seconds, double Peak)?> peer, CancellationToken cancel)
    {
        var (a, b) = (new List<(double Seconds, double Peak)>(), new List<(double Seconds, double Peak)>());
        for (var round = 0; round <= Rounds; round++)
        {
            cancel.ThrowIfCancellationRequested();
            var (first, second) = (ours(), peer());
            if (round == 0) continue;
            a.Add(first);
            if (second is { } other) b.Add(other);
        }
        static SideFigures Of(List<(double Seconds, double Peak)> runs) => new([.. runs.Select(r => r.Seconds)], runs.Max(r => r.Peak));
        return (Of(a), b.Count == 0 ? null : Of(b));
    }

    internal Side Our(string kind, string folder, string rows, string? native = null) => Side.Start(Program, [.. Start, "bench-worker", kind, folder, rows, "--threads", $"{Threads}"], Threads, native: native);

    /// <summary>A note, and behind it what our side takes on the other libtorch.</summary>
    internal string? Noted(string? note, string kind, string folder, string rows)
    {
        if (Beside is null) return note;
        var figures = Alone(() => Our(kind, folder, rows, Beside), out var version);
        return string.Create(CultureInfo.InvariantCulture, $"{(note is null ? "" : note + "; ")}on libtorch {version} {figures.Best:0.000} s");
    }

    private SideFigures Alone(Func<Side> start, out string version)
    {
        using var side = start();
        version = (string)side.Ready()["libtorch"]!;
        side.WarmUp();
        return new([.. Enumerable.Range(0, Rounds).Select(_ => side.Run().Seconds)], side.PeakMegabytes);
    }

    internal Side? Peer(string kind, string folder, string rows, IReadOnlyDictionary<string, string>? allocator = null) =>
        Python is null ? null : Side.Start(Python, [Script, kind, folder, rows, $"{Threads}"], Threads, allocator ?? Allocators.Default);

    /// <summary>A command of ours from start to end.</summary>
    internal (double Seconds, double Peak, string Said) Whole(params string[] arguments) => Side.Whole(Program, [.. Start, .. arguments], Threads);

    private static (double, double) Once(Side side)
    {
        using (side)
        {
            side.Ready();
            return (side.Run().Seconds, side.PeakMegabytes);
        }
    }
}
