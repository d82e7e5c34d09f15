// peftalign bench: ours beside the tools that do the same elsewhere, in turns on the same folders and token rows, as one table.

using System.CommandLine;
using System.Globalization;
using System.Reflection;
using PeftAlign.Host.Bench;
using PeftAlign.Host.CommandLine;
using PeftAlign.Plugins;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Host.Commands;

internal static class BenchCommand
{
    private const string Summary = "how fast it is here, beside TRL, transformers, lm-evaluation-harness and mergekit";

    private static readonly string Description = $"""
        Measures what a user waits for and prints one table: best and worst of all rounds, ratios of the best, peak anonymous
        memory. With a Python that has the peers (TRL, transformers, lm-evaluation-harness, mergekit) each round runs both sides one
        after the other; without one our side runs alone. Both get the same models (random weights, made once in --work,
        2.3 GB for merge, 1.2 GB for the rest) and the same token rows.

        Parts: {string.Join(", ", BenchParts.Names)}; without a name all of them.
        """;

    public static CommandEntry Entry { get; } = new("bench", Summary, Build);

    private static Command Build(CommandFrame frame)
    {
        var names = new Argument<string[]>("NAME") { Description = "Parts to measure.", Arity = ArgumentArity.ZeroOrMore };
        var peers = new Option<string?>("--peers") { HelpName = "PYTHON", Description = "A Python that has the peers (default: PEFTALIGN_PEERS_PYTHON)." };
        var rounds = new Option<int>("--rounds") { HelpName = "N", Description = "Runs on each side.", DefaultValueFactory = _ => 5 };
        var work = new Option<string?>("--work") { HelpName = "DIR", Description = "Folder of models and rows (default: peftalign/bench in XDG_CACHE_HOME or ~/.cache)." };
        var beside = new Option<string?>("--beside") { HelpName = "DIR", Description = "Measure ours on another libtorch too: its folder in .build/native, of the same sources." };
        var write = new Option<string?>("--write") { HelpName = "FILE.md", Description = "Write the table into this file, in place of the previous one." };
        var command = new Command("bench", Description) { names, peers, rounds, work, beside, write };
        frame.OnRun(command, Uses.Threads, (parsed, session, cancel) =>
        {
            string[] asked = parsed.GetValue(names) is { Length: > 0 } some ? some : [.. BenchParts.Names];
            if (asked.FirstOrDefault(name => !BenchParts.Names.Contains(name)) is { } unknown)
                throw new UserError(unknown, "is no part of bench", Near.DidYouMean(unknown, BenchParts.Names) ?? $"there are {string.Join(", ", BenchParts.Names)}");
            if (parsed.GetValue(rounds) is < 1 or > 1000) throw new UserError($"--rounds {parsed.GetValue(rounds)}", "is a number from 1 to 1000", "leave it out for 5");
            LibTorch.CheckSettings(); // a worker of its own would say it as a failure
            var folder = Path.GetFullPath(parsed.GetValue(work) ?? Path.Combine(UserCache.Folder() ?? Path.GetTempPath(), "peftalign", "bench"));
            Directory.CreateDirectory(folder);
            var python = parsed.GetValue(peers) ?? Environment.GetEnvironmentVariable("PEFTALIGN_PEERS_PYTHON");
            var effort = new Effort(parsed.GetValue(rounds), session.Threads, python is { Length: > 0 } ? python : null, WriteScript(folder), parsed.GetValue(beside) is { } other ? OtherNative.Of(other, Path.GetDirectoryName(LibTorch.FileToOpen)) : null);
            var rows = new List<Measurement>();
            var before = Load();
            foreach (var name in asked)
                foreach (var row in BenchParts.Run(name, effort, new Workload(folder), cancel))
                {
                    rows.Add(row);
                    session.Output.Remark(string.Create(CultureInfo.InvariantCulture, $"{row.Part}: {row.What}: {row.Ours.Best:0.000} s{(row.Ratio is { } ratio ? $", the peer {row.Peer!.Best:0.000} s, {ratio:0.00}" : "")}"));
                }
            var table = new BenchTable(rows, Setting(effort, before));
            if (parsed.GetValue(write) is { } file) table.Write(file);
            session.Output.Result(() => table.Json, () => table.Lines);
            return Task.FromResult(ExitCode.Done);
        });
        return command;
    }

    private static string WriteScript(string folder)
    {
        var file = Path.Combine(folder, "peers.py");
        using var source = Assembly.GetExecutingAssembly().GetManifestResourceStream("Bench/peers.py")!;
        using var target = File.Create(file);
        source.CopyTo(target);
        return file;
    }

    private static string Setting(Effort effort, string before)
    {
        var model = File.ReadLines("/proc/cpuinfo").FirstOrDefault(l => l.StartsWith("model name", StringComparison.Ordinal))?.Split(':')[1].Trim() ?? "unknown processor";
        return string.Create(CultureInfo.InvariantCulture,
            $"{DateTime.UtcNow:yyyy-MM-dd}, {model}, {Environment.ProcessorCount} cores, {effort.Threads} threads, {effort.Rounds} rounds in turns, load {before} before and {Load()} after; ours on libtorch {LibTorch.Version}{(effort.Python is null ? ", no peers" : $", peers on torch {PeerTorch(effort)}")}.");
    }

    private static string PeerTorch(Effort effort) => Side.Whole(effort.Python!, ["-c", "import torch; print(torch.__version__)"], effort.Threads).Said.Trim();

    private static string Load() => File.ReadAllText("/proc/loadavg").Split(' ')[0];
}
