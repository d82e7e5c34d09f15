// peftalign merge: models after mergekit's YAML into one, streamed; with a certificate of what was done where it is asked for.

using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Host.CommandLine;
using PeftAlign.Host.Inference;
using PeftAlign.Host.Quantizing;
using PeftAlign.Host.Rows;
using PeftAlign.Host.Running;
using PeftAlign.Merging;
using PeftAlign.Plugins;
using PeftAlign.Torch;

namespace PeftAlign.Host.Commands;

internal static class MergeCommand
{
    private const string DefaultShard = "5GB"; // mergekit's
    private const string Summary = "models into one, by mergekit's YAML: linear, slerp, ties, dare_ties ...";

    private const string Description = """
        Merges models as a mergekit configuration says: models, slices or modules, base_model, parameters with filters
        and gradients, dtype, out_dtype, tokenizer_source or tokenizer, chat_template. Paths are relative to the working
        directory, or else to the configuration's folder; PATH+ADAPTER is a model with a LoRA adapter merged into it.
        Tensors are read from mapped files and written as they are made; the folder appears when it is complete. Models in
        4 bits are refused, or with --dequantize decoded; the result has full weights and is not quantised again.
        Random strategies draw from --seed, the model's place in the list and the tensor's name alone: to merge such a
        result again, give another --seed.
        Strategies come from plugins: `peftalign plugins list` names them, `peftalign plugins info merge.dare` their parameters.
        """;

    public static CommandEntry Entry { get; } = new("merge", Summary, Build);

    private static Command Build(CommandFrame frame)
    {
        var config = new Argument<string>("CONFIG.yaml") { Description = "A merge configuration in mergekit's syntax." };
        var output = new Option<string>("--out") { HelpName = "DIR", Required = true, Description = "Folder of the merged model; must not be there, or be empty." };
        var certificate = new Option<bool>("--certificate") { Description = "Write certificate.json and certificate.html into DIR: hashes of the inputs, seed and versions, lengths and sign conflicts of each tensor, tied weights, drift against each parent." };
        var probe = new Option<string?>("--probe") { HelpName = "F.jsonl", Description = "With --certificate: rows {text} or {ids} on which the drift is measured (default: a built-in text)." };
        var dequantize = new Option<bool>("--dequantize") { Description = "Merge the decoded matrices of models in 4 bits, in the type that they were quantised from." };
        var trainedOver = new QuantizationChoice("--trained-over", null, "With --certificate: adapters were trained over their base in nf4 or fp4; compare them over that and over the full base.");
        var shard = ShardSize.Option(DefaultShard);
        var plugins = PluginFolders.Option();
        var command = new Command("merge", Description) { config, output, certificate, probe, dequantize, shard, plugins };
        foreach (var option in trainedOver.Options) command.Add(option);
        frame.OnRun(command, Uses.Device | Uses.Threads | Uses.Seed, (parsed, session, cancel) =>
        {
            ComputeDevice.ThrowUnlessProcessor(session, "merging");
            trainedOver.ThrowIfGiven(parsed);
            var options = new MergeOptions { Seed = (ulong)(session.Global.Seed ?? 0), ShardBytes = ShardSize.Bytes(parsed.GetValue(shard)!, DefaultShard), Cancellation = cancel };
            var asked = new Asked(parsed.GetValue(config)!, parsed.GetValue(output)!, parsed.GetValue(certificate), parsed.GetValue(probe), parsed.GetValue(dequantize), parsed.GetValue(plugins)!)
            {
                TrainedOver = trainedOver.Type(parsed) is { } type ? (type, found => trainedOver.Make(parsed, found)!) : null,
            };
            return RunAsync(asked, options, session);
        });
        return command;
    }

    private sealed record Asked(string File, string Target, bool Certificate, string? Probe, bool Dequantize, string[] Plugins)
    {
        internal (string Name, Func<PluginCatalogue, IQuantization> Make)? TrainedOver { get; init; }
    }

    private static async Task<int> RunAsync(Asked asked, MergeOptions options, Session session)
    {
        var (file, target) = (asked.File, asked.Target);
        foreach (var (given, name) in (ReadOnlySpan<(bool, string)>)[(asked.Probe is not null, "--probe"), (asked.TrainedOver is not null, "--trained-over")])
            if (given && !asked.Certificate) throw new UserError(name, "goes with --certificate", $"add --certificate, or leave {name} out");
        if (session.Global.Threads is { } threads) torch.set_num_threads(threads);
        var text = YamlFile.Read(file, "name a merge configuration in mergekit's YAML");
        var probe = asked.Probe is { } rows ? await ReadProbeAsync(rows, options.Cancellation) : Probe.BuiltIn;
        var plugins = PluginSearch.Of(AppContext.BaseDirectory, asked.Plugins).Scan();
        var architectures = PluginArchitectures.Of(plugins);
        using var plan = Merger.Plan(text, file, new StrategyFinder(plugins, new BareContext()).Find, path => Resolve(path, file), asked.Dequantize ? architectures : null);
        // A probe of the user's own is asked for its numbers; without it they are a part of the certificate that may be missing.
        if (asked.Probe is { } own && Drift.Obstacle(plan, probe, architectures) is { } obstacle) throw new UserErrorException($"--probe {own}: the drift cannot be measured: {obstacle}. Leave --probe out for a certificate without it.");
        foreach (var warning in plan.Warnings) session.Output.Warn(warning);
        foreach (var model in plan.Models.Where(model => model.Decoded > 0)) session.Output.Remark($"{model.Name}: {model.Decoded} matrices are decoded from 4 bits; nothing is quantised again");
        var ledger = new TensorLedger();
        var request = new CertificateRequest(text, plugins.Find("merge", plan.Config.Method), TopHelp.Version, options.Seed, probe, architectures)
        {
            TrainedOver = asked.TrainedOver is var (type, make) ? (type, make(plugins)) : null,
            Cancellation = options.Cancellation,
        };
        var runner = new MergeRunner(plan, options with { Progress = Progress(session.Output), Observe = asked.Certificate ? ledger.Observe : null });
        IReadOnlyList<string> unmeasured = [];
        var outcome = runner.Write(target, asked.Certificate ? folder => unmeasured = MergeCertificate.Write(plan, ledger, request, folder) : null);
        foreach (var reason in unmeasured) session.Output.Warn(reason);
        session.Output.Result(
            () => new JsonObject
            {
                ["out"] = Path.GetFullPath(target),
                ["method"] = plan.Config.Method,
                ["tensors"] = plan.Tensors.Count,
                ["bytes"] = outcome.Bytes,
                ["decoded"] = plan.Models.Sum(model => model.Decoded),
                ["seed"] = options.Seed,
                ["merge_s"] = Math.Round(outcome.MergeTime.TotalSeconds, 4),
                ["flush_s"] = Math.Round(outcome.FlushTime.TotalSeconds, 4),
                ["warnings"] = new JsonArray([.. plan.Warnings.Concat(unmeasured).Select(warning => (JsonNode)warning)]),
            },
            () => [string.Create(CultureInfo.InvariantCulture, $"{target}: {plan.Tensors.Count} tensors, {outcome.Bytes / 1e6:0.0} MB, merged by {plan.Config.Method} in {outcome.MergeTime.TotalSeconds:0.00} s")]);
        return ExitCode.Done;
    }

    private static async Task<Probe> ReadProbeAsync(string path, CancellationToken cancel)
    {
        using var reader = RowReader.Open(path);
        var rows = new List<ProbeRow>();
        await foreach (var row in reader.ReadAsync(cancel))
            rows.Add(row.Ids("ids") is { } ids ? new ProbeRow(null, ids) : new ProbeRow(row.Text("text") ?? throw row.Fault("has neither text nor ids", "give {\"text\": ...} or {\"ids\": [...]}"), null));
        return new Probe(path, rows);
    }

    // As mergekit has it, and, so that a configuration can travel with its models, beside the file.
    private static string Resolve(string path, string file)
    {
        var here = Path.GetFullPath(path);
        return Directory.Exists(here) ? here : Path.GetFullPath(path, Path.GetDirectoryName(Path.GetFullPath(file))!) is var beside && Directory.Exists(beside) ? beside : here;
    }

    // A line every ten seconds.
    private static Action<int, int, string> Progress(Output output)
    {
        var next = Environment.TickCount64 + 10_000;
        return (done, total, name) =>
        {
            if (Environment.TickCount64 < next) return;
            next = Environment.TickCount64 + 10_000;
            output.Remark($"{done} of {total} tensors ({name})");
        };
    }
}
