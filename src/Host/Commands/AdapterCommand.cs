// peftalign adapter: what is in an adapter folder, an adapter into full weights, several adapters into one.

using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Host.Adapters;
using PeftAlign.Host.CommandLine;
using PeftAlign.Host.Quantizing;
using PeftAlign.Models.Adapters;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Classifiers;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Templates;
using PeftAlign.Torch;

namespace PeftAlign.Host.Commands;

internal static class AdapterCommand
{
    private const string Summary = "look at adapters, merge one into its base, combine several";

    public static CommandEntry Entry { get; } = new("adapter", Summary, frame => new Command("adapter", Summary) { Info(frame), Merge(frame), Combine(frame) });

    private static Command Info(CommandFrame frame)
    {
        var path = new Argument<string>("DIR") { Description = "An adapter folder in PEFT's format." };
        var command = new Command("info", "say what an adapter folder holds") { path };
        frame.OnRun(command, Uses.Nothing, (parsed, session, _) =>
        {
            using var adapter = new AdapterInspection(parsed.GetValue(path)!);
            foreach (var warning in adapter.Warnings) session.Output.Warn(warning);
            session.Output.Result(adapter.Document, adapter.Lines);
            return Task.FromResult(ExitCode.Done);
        });
        return command;
    }

    private static Command Merge(CommandFrame frame)
    {
        var model = new Option<string>("--model") { HelpName = "DIR", Required = true, Description = "The base model's folder." };
        var adapter = new Option<string>("--adapter") { HelpName = "DIR", Required = true, Description = "The adapter's folder." };
        var output = new Option<string>("--out") { HelpName = "DIR", Required = true, Description = "Folder of the merged model; must not be there, or be empty." };
        var plugins = PluginFolders.Option();
        var choice = new QuantizationChoice("--quantization", null);
        const string description = """
            Writes the base with the adapter inside: a model folder that needs no adapter. Each weight keeps its element type unless
            --dtype names one; sums are made in float32 and rounded once. Virtual tokens and prefixes have no place in weights.
            Of a 4-bit base, and with --quantization of a full one, the adapter is added to the decoded matrices: what it was
            trained over. The result is never quantised again; quantize does that. Where the adapter's folder holds embedding
            and head with more rows than the base's (its vocabulary was resized), the result has these, and its tokenizer.
            """;
        var command = new Command("merge", description) { model, adapter, output, plugins };
        foreach (var option in choice.Options) command.Add(option);
        frame.OnRun(command, Uses.Threads | Uses.Dtype, (parsed, session, cancel) =>
        {
            if (session.Global.Threads is { } threads) torch.set_num_threads(threads);
            Action<string> warn = session.Output.Warn;
            var (from, target) = (parsed.GetValue(model)!, Empty(parsed.GetValue(output)!));
            var catalogue = PluginFolders.Search(parsed, plugins).Scan();
            var opened = new AdapterReader(catalogue).Open(parsed.GetValue(adapter)!, warn);
            if (opened.Files.Config.Text("task_type") == "SEQ_CLS" && !ClassifierFolder.IsClassifier(ModelConfig.Open(from)))
                throw new UserError($"--adapter {parsed.GetValue(adapter)}", $"is a sequence classifier's adapter (task_type SEQ_CLS), and {from} is a language model", "give the classifier's folder as --model; a reward training has written what you want as its folder model");
            var (changed, all, decoded) = (0, 0, 0);
            TrainedWith.ThrowIfOther(parsed.GetValue(adapter)!, from, ModelConfig.Open(from).VocabularySize, warn);
            var quantization = choice.Make(parsed, catalogue, ModelConfig.Open(from).IsQuantized);
            TrainedWith.WarnOfFullBase(parsed.GetValue(adapter)!, from, quantization is not null || ModelConfig.Open(from).IsQuantized, warn);
            NewFolder.Fill(target, folder =>
            {
                (changed, all, decoded) = AdapterMerge.Write(folder, from, outline => AdapterReader.Sites(opened, outline, parsed.GetValue(adapter)!, warn), PluginArchitectures.Of(catalogue), TypeOf(session.Global.Dtype), quantization, cancel, warn, opened.Files.Tensors);
                GrownVocabulary.Write(folder, from, parsed.GetValue(adapter)!, session.Output.Remark);
                // What was taught with a template is to be asked with it.
                if (TrainedWith.TemplateIn(parsed.GetValue(adapter)!) is { } template) File.WriteAllText(Path.Combine(folder, ChatTemplateLoader.FileName), template);
            });
            if (decoded > 0) session.Output.Remark($"{decoded} matrices of the base were decoded from 4 bits and are written as {session.Global.Dtype ?? "the type that they were quantised from"}; nothing is quantised again");
            session.Output.Result(
                () => new JsonObject { ["out"] = Path.GetFullPath(target), ["tensors"] = all, ["changed"] = changed, ["decoded"] = decoded, ["dtype"] = session.Global.Dtype },
                () => [$"{target}: {changed} of {all} tensors changed by the adapter"]);
            return Task.FromResult(ExitCode.Done);
        });
        command.Options.Single(option => option.Name == "--dtype").Description = "float32, bfloat16 or float16 (default: each weight keeps its type).";
        return command;
    }

    private static Command Combine(CommandFrame frame)
    {
        var adapters = new Option<string[]>("--adapter") { HelpName = "DIR", Required = true, Description = "An adapter's folder; twice or more.", AllowMultipleArgumentsPerToken = false };
        var weights = new Option<string?>("--weights") { HelpName = "W,W,...", Description = "One weight for each adapter, negative ones too (default: 1 each)." };
        var type = new Option<string>("--type") { HelpName = "TYPE", DefaultValueFactory = _ => "linear", Description = "linear, cat, svd, ties, dare_linear, dare_ties, magnitude_prune, or one of the last four with _svd." };
        var density = new Option<double?>("--density") { HelpName = "D", Description = "Share of the entries that pruning types keep." };
        var sign = new Option<string>("--majority-sign") { HelpName = "RULE", DefaultValueFactory = _ => "total", Description = "How ties elects a sign: total or frequency." };
        sign.AcceptOnlyFromAmong("total", "frequency");
        var rank = new Option<int?>("--rank") { HelpName = "R", Description = "Rank of the result of svd types (default: the largest that an adapter's r or rank_pattern names)." };
        var clamp = new Option<double?>("--svd-clamp") { HelpName = "Q", Description = "Cut what svd types make to this quantile of its entries (over 0.5, at most 1)." };
        var output = new Option<string>("--out") { HelpName = "DIR", Required = true, Description = "Folder of the combined adapter; must not be there, or be empty." };
        var plugins = PluginFolders.Option();
        const string description = """
            Makes one adapter of several of one base, as PEFT's add_weighted_adapter: cat adds their changes exactly, at the sum of
            the ranks; linear mixes A and B apart, which adds cross terms; svd truncates the weighted sum; ties, dare and
            magnitude_prune prune before. Random pruning draws from --seed.
            """;
        var command = new Command("combine", description) { adapters, weights, type, density, sign, rank, clamp, output, plugins };
        frame.OnRun(command, Uses.Threads | Uses.Seed, (parsed, session, cancel) =>
        {
            if (session.Global.Threads is { } threads) torch.set_num_threads(threads);
            var (folders, target) = (parsed.GetValue(adapters)!, Empty(parsed.GetValue(output)!));
            var shares = Shares(parsed.GetValue(weights), folders.Length);
            var found = new AdapterReader(PluginFolders.Search(parsed, plugins).Scan());
            var opened = folders.Select(folder => found.Open(folder, session.Output.Warn)).ToList();
            var reader = SameType(folders, opened.Select(o => o.Reader).ToList());
            var combined = reader.Combine(opened.Select((o, k) => (o.Files, shares[k])).ToList(), new AdapterCombination(parsed.GetValue(type)!)
            {
                Density = parsed.GetValue(density),
                SignByFrequency = parsed.GetValue(sign) == "frequency",
                Rank = parsed.GetValue(rank) is null or >= 1 ? parsed.GetValue(rank) : throw new UserError($"--rank {parsed.GetValue(rank)}", "is no rank", "give a whole number from 1"),
                Clamp = parsed.GetValue(clamp),
                Seed = (ulong)(session.Global.Seed ?? 0),
                Cancellation = cancel,
            });
            cancel.ThrowIfCancellationRequested();
            NewFolder.Fill(target, folder =>
            {
                AdapterReader.Write(folder, combined);
                TrainedWith.Join(folder, folders);
            });
            session.Output.Result(
                () => new JsonObject { ["out"] = Path.GetFullPath(target), ["type"] = parsed.GetValue(type), ["weights"] = new JsonArray([.. shares.Select(s => (JsonNode)s)]), ["tensors"] = combined.Tensors.Count },
                () => [$"{target}: {folders.Length} adapters combined by {parsed.GetValue(type)}, {combined.Tensors.Count} tensors"]);
            return Task.FromResult(ExitCode.Done);
        });
        return command;
    }

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

    private static string Empty(string folder)
    {
        NewFolder.ThrowIfTaken(folder);
        return folder;
    }

    private static torch.ScalarType? TypeOf(string? dtype) => dtype switch
    {
        null => null,
        "bfloat16" => torch.bfloat16,
        "float16" => torch.float16,
        _ => torch.float32,
    };
}
