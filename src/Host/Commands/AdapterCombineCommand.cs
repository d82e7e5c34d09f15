// peftalign adapter combine: several adapters of one base into one.

using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Host.Adapters;
using PeftAlign.Host.CommandLine;
using PeftAlign.Models.Adapters;
using PeftAlign.Torch;

namespace PeftAlign.Host.Commands;

internal static class AdapterCombineCommand
{
    internal static Command Build(CommandFrame frame)
    {
        var adapters = new Option<string[]>("--adapter") { HelpName = "DIR", Required = true, Description = "An adapter's folder; twice or more.", AllowMultipleArgumentsPerToken = false };
        var weights = new Option<string?>("--weights") { HelpName = "W,W,...", Description = "One weight for each adapter, negative ones too (default: 1 each)." };
        var type = new Option<string>("--type") { HelpName = "TYPE", DefaultValueFactory = _ => "linear", Description = "linear, cat, svd, ties, dare_linear, dare_ties, magnitude_prune, or one of the last four with _svd." };
        var density = new Option<double?>("--density") { HelpName = "D", Description = "Share of the entries that pruning types keep." };
        var sign = new Option<string>("--majority-sign") { HelpName = "RULE", DefaultValueFactory = _ => "total", Description = "How ties elects a sign: total or frequency." };
        sign.AcceptOnlyFromAmong("total", "frequency");
        var rank = new Option<int?>("--rank") { HelpName = "R", Description = "Rank of the result of svd types (default: the largest that an adapter's r or rank_pattern names)." };
        var clamp = new Option<double?>("--svd-clamp") { HelpName = "Q", Description = "Clip what svd types compute to this quantile of its entries (over 0.5, at most 1)." };
        var output = new Option<string>("--out") { HelpName = "DIR", Required = true, Description = "Folder of the combined adapter; must not be there, or be empty." };
        var plugins = PluginFolders.Option();
        const string description = """
            Makes one adapter from several of one base, as PEFT's add_weighted_adapter does: cat adds their changes exactly, at the
            sum of the ranks; linear mixes A and B separately, which adds cross terms; svd truncates the weighted sum; ties, dare and
            magnitude_prune prune first. Random pruning draws from --seed.
            """;
        var command = new Command("combine", description) { adapters, weights, type, density, sign, rank, clamp, output, plugins };
        frame.OnRun(command, Uses.Threads | Uses.Seed, (parsed, session, cancel) =>
        {
            if (session.Global.Threads is { } threads) torch.set_num_threads(threads);
            var (folders, target) = (parsed.GetValue(adapters)!, parsed.GetValue(output)!);
            NewFolder.ThrowIfTaken(target);
            var shares = Shares(parsed.GetValue(weights), folders.Length);
            var found = new AdapterReader(PluginFolders.Search(parsed, plugins).Scan());
            var opened = folders.Select(folder => found.Open(folder, session.Output.Warn)).ToList();
            var reader = SameType(folders, opened.Select(o => o.Reader).ToList());
            var combined = reader.Combine(opened.Select((o, k) => (o.Files, shares[k])).ToList(), new AdapterCombination(parsed.GetValue(type)!)
            {
                Density = parsed.GetValue(density),
                SignByFrequency = parsed.GetValue(sign) == "frequency",
                Rank = Rank(parsed.GetValue(rank)),
                Clamp = parsed.GetValue(clamp),
                Seed = (ulong)(session.Global.Seed ?? 0),
                Cancellation = cancel,
            });
            cancel.ThrowIfCancellationRequested();
            Write(target, combined, folders);
            session.Output.Result(
                () => new JsonObject { ["out"] = Path.GetFullPath(target), ["type"] = parsed.GetValue(type), ["weights"] = new JsonArray([.. shares.Select(s => (JsonNode)s)]), ["tensors"] = combined.Tensors.Count },
                () => [$"{target}: {folders.Length} adapters combined by {parsed.GetValue(type)}, {combined.Tensors.Count} tensors"]);
            return Task.FromResult(ExitCode.Done);
        });
        return command;
    }

    private static void Write(string target, AdapterFiles combined, string[] folders) => NewFolder.Fill(target, folder =>
    {
        AdapterReader.Write(folder, combined);
        TrainedWith.Join(folder, folders);
    });

    private static int? Rank(int? rank) =>
        rank is null or >= 1 ? rank : throw new UserError($"--rank {rank}", "is no rank", "give a whole number from 1");

    private static ICombinesAdapters SameType(string[] folders, List<IPeftAdapter> readers)
    {
        if (readers.Count < 2) throw new UserError("--adapter", $"is given {folders.Length} times", "combine two adapters or more");
        if (readers.Select(r => r.PeftType).Distinct().Count() > 1) throw new UserError(string.Join(", ", folders), $"are of the types {string.Join(", ", readers.Select(r => r.PeftType))}", "combine adapters of one type");
        return readers[0] as ICombinesAdapters ?? throw new UserError(readers[0].PeftType, "has no way to combine its adapters", "merge each into the base, and the models by peftalign merge");
    }

    private static double[] Shares(string? text, int count)
    {
        if (text is null) return [.. Enumerable.Repeat(1.0, count)];
        var shares = text.Split(',').Select(part => double.TryParse(part, NumberStyles.Float, CultureInfo.InvariantCulture, out var value) && double.IsFinite(value)
            ? value
            : throw new UserError($"--weights {text}", $"'{part}' is no number", "give one number for each adapter, as 0.7,0.3")).ToArray();
        return shares.Length == count ? shares : throw new UserError($"--weights {text}", $"are {shares.Length} for {count} adapters", "give one for each");
    }
}
