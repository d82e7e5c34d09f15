// The parts of the table: each measures something that a user waits for, beside the tool that does it elsewhere.

using System.Globalization;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;

namespace PeftAlign.Host.Bench;

internal static class BenchParts
{
    /// <summary>Part of what a manifest's planning is measured on, relative to the product's sources.</summary>
    private const string Manifest = "experiments/quickstart.yaml";

    private static readonly Dictionary<string, Func<Effort, Workload, CancellationToken, IEnumerable<Measurement>>> Parts = new()
    {
        ["train"] = TrainingParts.Train,
        ["train-bfloat16"] = TrainingParts.TrainNarrow,
        ["train-curves"] = TrainingParts.Curves,
        ["growth"] = GrowthWork.Measure,
        ["generate"] = Generate,
        ["score"] = Score,
        ["load"] = Load,
        ["merge"] = Merge,
        ["qlora"] = TrainingStep.Measure,
        ["scaling"] = Scaling,
        ["start-up"] = StartUp,
    };

    internal static IReadOnlyCollection<string> Names => Parts.Keys;

    /// <summary>Measures one part.</summary>
    /// <exception cref="UserErrorException">There is none of this name.</exception>
    internal static IEnumerable<Measurement> Run(string name, Effort effort, Workload work, CancellationToken cancel) =>
        Parts.TryGetValue(name, out var part) ? part(effort, work, cancel)
            : throw new UserErrorException($"'{name}' is no part of bench; there are {string.Join(", ", Names)}.");

    private static IEnumerable<Measurement> Generate(Effort effort, Workload work, CancellationToken cancel)
    {
        foreach (var shape in Workload.Shapes.Keys)
            foreach (var batch in (int[])[1, 8])
            {
                var (ours, peer, mine, other) = effort.Kept("generate", work.Model(shape), work.Prompts(batch), cancel);
                yield return new("generate", $"{shape}, greedy, {batch} {(batch == 1 ? "prompt" : "prompts")} of 64, {Workload.NewTokens} new tokens each", ours, peer, effort.Noted(Same(mine, other), "generate", work.Model(shape), work.Prompts(batch)));
            }
    }

    private static string? Same(JsonArray ours, JsonArray? other)
    {
        if (other is null) return null;
        var equal = ours.Zip(other, (a, b) => (int)a! == (int)b!).Count(same => same);
        return equal == ours.Count ? "same tokens" : $"{equal} of the first {ours.Count} tokens are the same";
    }

    private static IEnumerable<Measurement> Score(Effort effort, Workload work, CancellationToken cancel)
    {
        foreach (var (items, tokens) in ((int, int)[])[(4, 12), (8, 1)])
        {
            var (ours, peer, mine, other) = effort.Kept("score", work.Model("llama-25m"), work.Questions(items, tokens), cancel);
            var note = other is null ? null : string.Create(CultureInfo.InvariantCulture, $"log-likelihoods differ by {mine.Zip(other, (a, b) => Math.Abs((double)a! - (double)b!)).Max():0.0e+0} at most");
            yield return new("score", $"llama-25m, 4 continuations of {tokens} tokens after 600, {items} items", ours, peer, effort.Noted(note, "score", work.Model("llama-25m"), work.Questions(items, tokens)));
        }
    }

    private static IEnumerable<Measurement> Load(Effort effort, Workload work, CancellationToken cancel)
    {
        foreach (var shape in Workload.Shapes.Keys)
        {
            var folder = work.Model(shape);
            var (ours, peer) = effort.Fresh(() => effort.Our("load", folder, "-"), () => effort.Peer("load", folder, "-"), cancel);
            yield return new("load", $"{shape}, folder to one log-prob, libraries loaded", ours, peer);
            var (bytes, _) = effort.Turns(() => (PageIn(folder), 0), () => null, cancel);
            yield return new("load", $"{shape}, reading one number of each page of the mapped file", bytes, null);
        }
    }

    // The least that mapping a file can cost: reading each of its pages once.
    private static double PageIn(string folder)
    {
        var clock = System.Diagnostics.Stopwatch.StartNew();
        using var file = System.IO.MemoryMappedFiles.MemoryMappedFile.CreateFromFile(Path.Combine(folder, "model.safetensors"), FileMode.Open, null, 0, System.IO.MemoryMappedFiles.MemoryMappedFileAccess.Read);
        using var view = file.CreateViewAccessor(0, 0, System.IO.MemoryMappedFiles.MemoryMappedFileAccess.Read);
        long sum = 0;
        for (long at = 0; at < view.Capacity; at += Environment.SystemPageSize) sum += view.ReadByte(at);
        return sum < 0 ? throw new InvalidOperationException("bytes are not negative") : clock.Elapsed.TotalSeconds;
    }

    private static IEnumerable<Measurement> Merge(Effort effort, Workload work, CancellationToken cancel)
    {
        foreach (var method in (string[])["linear", "slerp", "dare_ties", "ties"])
        {
            var (config, target) = (work.Merge(method), Path.Combine(work.Folder, $"merged-{Environment.ProcessId}"));
            (double, double) Ours()
            {
                try
                {
                    var (_, peak, said) = effort.Whole("merge", config, "--out", target, "--json", "--threads", $"{effort.Threads}");
                    return ((double)JsonNode.Parse(said)!["merge_s"]!, peak);
                }
                finally
                {
                    if (Directory.Exists(target)) Directory.Delete(target, recursive: true);
                }
            }
            (double, double)? Peer()
            {
                using var side = effort.Peer("merge", config, target);
                if (side is null) return null;
                side.Ready();
                return (side.Run().Seconds, side.PeakMegabytes);
            }
            var (ours, peer) = effort.Turns(Ours, Peer, cancel);
            yield return new("merge", $"{method}, llama-110m, float32 to bfloat16, {(method == "slerp" ? 2 : 3)} models", ours, peer);
        }
    }

    private static IEnumerable<Measurement> Scaling(Effort effort, Workload work, CancellationToken cancel)
    {
        for (var threads = 1; threads <= Math.Min(4, Environment.ProcessorCount); threads *= 2)
        {
            var some = effort with { Threads = threads, Python = null };
            foreach (var batch in (int[])[1, 8])
                yield return new("scaling", $"llama-110m, greedy, batch {batch}, {threads} threads", some.Kept("generate", work.Model("llama-110m"), work.Prompts(batch), cancel).Ours, null);
            yield return new("scaling", $"llama-25m, 4 continuations of 12 tokens after 600, 4 items, {threads} threads", some.Kept("score", work.Model("llama-25m"), work.Questions(4, 12), cancel).Ours, null);
        }
    }

    private static IEnumerable<Measurement> StartUp(Effort effort, Workload work, CancellationToken cancel)
    {
        Measurement Command(string what, params string[] arguments)
        {
            var (ours, _) = effort.Turns(() => effort.Whole(arguments) is var (seconds, peak, _) ? (seconds, peak) : default, () => null, cancel);
            return new("start-up", what, ours, null);
        }
        yield return Command("--help", "--help");
        if (Find(Manifest) is { } manifest) yield return Command($"planning {Manifest} (run --dry-run)", "run", manifest, "--dry-run", "--out", Path.Combine(work.Folder, "planned"));
        yield return Command("a process that opens libtorch and ends, as each job does", "bench-worker", "load", "-", "-");
    }

    private static string? Find(string file)
    {
        for (var up = new DirectoryInfo(AppContext.BaseDirectory); up is not null; up = up.Parent)
            if (File.Exists(Path.Combine(up.FullName, file))) return Path.Combine(up.FullName, file);
        return null;
    }
}
