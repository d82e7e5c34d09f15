// peftalign train METHOD: one training without a manifest. The same command again resumes, or says that all is done.

using System.CommandLine;
using PeftAlign.Abstractions;
using PeftAlign.Host.CommandLine;
using PeftAlign.Host.Inference;
using PeftAlign.Host.Running;
using PeftAlign.Host.Running.Estimates;
using PeftAlign.Host.SingleTraining;
using PeftAlign.Plugins;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Host.Commands;

internal static class TrainCommand
{
    private const string Summary = "one training without a manifest: a method, a model, rows";

    public static CommandEntry Entry { get; } = new("train", Summary, frame => Build(frame, ["train"]).Command) { BuildFor = Build };

    private static (Command Command, string[] Arguments) Build(CommandFrame frame, string[] args)
    {
        var parts = new Parts();
        var plugins = PluginSearch.Of(AppContext.BaseDirectory, [.. Values(args, "--plugins")]).Scan();
        var name = args.Skip(1).FirstOrDefault() is { } first && !first.StartsWith('-') ? first : null;
        var command = new Command("train", Description(plugins, name))
        {
            TreatUnmatchedTokensAsErrors = args.Any(arg => arg is "--help" or "-h" or "-?"), // they are said with all other faults; help would list them as arguments
        };
        parts.AddTo(command, plugins);
        string[] taken = [.. command.Options.Select(option => option.Name[2..]), "quantization", "device", "threads", "seed", "json", "quiet", "verbose", "help", "version"];
        var flags = name is null ? new TrainFlags([]) : TrainFlags.Of(plugins, name, AdapterOf(args), Values(args, "--quantization").FirstOrDefault(), taken);
        var options = flags.All.Select(flag => (Flag: flag, Option: OptionOf(flag))).ToList();
        foreach (var (_, option) in options) command.Add(option);
        frame.OnRun(command, Uses.Device | Uses.Threads | Uses.Seed, (parsed, session, cancel) =>
        {
            PlannedParts.ThrowIfOneOfMany();
            if (parsed.GetValue(parts.Method) is not { } method) throw new UserError("train", "needs a method", $"give one of {string.Join(", ", Names(plugins, "method"))}");
            if (method != name) // its options were not looked up, so all of them would be called unknown
                throw new UserError("train", "METHOD comes first", $"write peftalign train {args.Skip(1).FirstOrDefault(Names(plugins, "method").Contains) ?? "METHOD"} --model ...");
            var request = parts.Request(parsed, method, session) with
            {
                Values = options.Where(o => parsed.GetResult(o.Option) is not null).ToDictionary(o => o.Flag.Name, o => parsed.GetValue(o.Option) ?? "true"),
                Unmatched = parsed.UnmatchedTokens,
                Flags = [.. command.Options.Where(option => !option.Hidden).Select(option => option.Name)],
            };
            return RunAsync(request, flags, plugins, parsed.GetValue(parts.DryRun), session, cancel);
        });
        return (command, flags.Normal(args));
    }

    private static async Task<int> RunAsync(TrainRequest request, TrainFlags flags, PluginCatalogue plugins, bool dryRun, Session session, CancellationToken cancel)
    {
        using var folder = new TrainFolder(request.Out);
        var hashes = new ContentHashes(folder.Hashes, Directory.GetCurrentDirectory()) { Cancellation = cancel };
        // A training that is not started is compared with nothing, so a dry run need not read gigabytes to hash them.
        var plan = TrainPlan.Of(request, flags, plugins, dryRun && !folder.IsBegun ? path => Path.Exists(path) ? "not read: " + path : null : hashes.Of);
        folder.ThrowIfOthers(plan.Job);
        if (dryRun)
        {
            var forecast = Forecast.Of(plan, folder, request);
            if (!ComputeDevice.IsGpu(request.Device)) MemoryAtHand.WarnIfShort([(forecast.Bytes, 1)], 1, session.Output, forecast.Remedy);
            session.Output.Result(() => forecast.Document(), forecast.Lines);
            return ExitCode.Done;
        }
        if (folder.Job.IsFinished)
        {
            session.Output.Remark($"nothing to do: the training in {folder.Job.Path} is finished");
            return Report(folder, session);
        }
        if (!folder.IsBegun) WarnIfShort(plan, folder, request, session.Output);
        LibTorch.CheckSettings();
        if (session.Global.Device is { } device) _ = ComputeDevice.Of(device); // one that is not there is refused before anything is written
        folder.Hold();
        folder.ThrowIfOthers(plan.Job); // what another command did between the first look and the lock
        folder.ThrowIfElsewhere(plan.Job, session.Global.Threads, session.Global.Device);
        hashes.Save();
        folder.Begin(plan, hashes, session.Global.Threads ?? Environment.ProcessorCount, session.Global.Device);
        var (code, error) = plan.Reference is null || folder.Reference.IsFinished ? (ExitCode.Done, "") : await TrainAsync(plan.Reference, folder.Reference, session.Output, cancel);
        if (code == ExitCode.Done) (code, error) = await TrainAsync(plan.Job, folder.Job, session.Output, cancel);
        if (code == ExitCode.Done) return Report(folder, session);
        if (code == ExitCode.UserError) folder.Withdraw();
        throw code == ExitCode.UserError ? new UserErrorException(error) : new InvalidOperationException(error.Contains("run the same command again", StringComparison.Ordinal) ? error : $"{error} Run the same command again to go on from the last checkpoint.");
    }

    // Without a dry run too, before minutes of work. What the forecast cannot read is for the training to refuse.
    private static void WarnIfShort(TrainPlan plan, TrainFolder folder, TrainRequest request, Output output)
    {
        if (ComputeDevice.IsGpu(request.Device) || !MemoryAtHand.MightBeShort(request.Model)) return;
        try
        {
            var forecast = Forecast.Of(plan, folder, request, isQuick: true);
            MemoryAtHand.WarnIfShort([(forecast.Bytes, 1)], 1, output, forecast.Remedy);
        }
        catch (UserErrorException)
        {
        }
    }

    private static async Task<(int Code, string Error)> TrainAsync(Core.PlanJob job, JobFolder folder, Output output, CancellationToken cancel)
    {
        using var display = new RunDisplay(output, atOnce: 1);
        display.Start([job], new RunFolder(folder.Path), 0);
        display.Started(job);
        var end = await ChildProcess.RunOneAsync(folder, message => display.Message(job, message), cancel);
        cancel.ThrowIfCancellationRequested();
        display.Ended(job, end.Code == ExitCode.Done ? null : new JobFailure(job.Label, end.Error, end.Code));
        return end;
    }

    private static int Report(TrainFolder folder, Session session)
    {
        var outcome = folder.Job.ReadResult()!["outcome"]!.AsObject();
        var written = Directory.Exists(folder.Job.Adapter) ? folder.Job.Adapter : folder.Job.Model;
        outcome["folder"] = folder.Job.Path;
        outcome["written"] = written;
        foreach (var warning in outcome["warnings"]?.AsArray() ?? []) session.Output.Warn($"{warning}");
        session.Output.Result(() => outcome, () => [$"{outcome["steps"]} steps, loss {outcome["final_loss"]}: {written}"]);
        return ExitCode.Done;
    }

    private static Option<string?> OptionOf(TrainFlag flag) => new("--" + flag.Name)
    {
        HelpName = (flag.Schema.Type.ToString().TrimEnd('?'), flag.Schema.Names) switch { ("string", "path") => "PATH", ("string", "dataset") => "F.jsonl", (var type, _) => type },
        Description = flag.Help,
        Hidden = !flag.IsBuilt,
        Arity = flag.Schema.Type.Kind == OptionKind.Bool ? ArgumentArity.ZeroOrOne : ArgumentArity.ExactlyOne,
    };

    private static string? AdapterOf(string[] args) => Values(args, "--adapter").FirstOrDefault() is { } name && name != "none" ? name : null;

    // Before the parser knows the options, these decide which there are.
    private static IEnumerable<string> Values(string[] args, string name)
    {
        for (var k = 1; k < args.Length; k++)
            if (args[k].StartsWith(name + "=", StringComparison.Ordinal)) yield return args[k][(name.Length + 1)..];
            else if (args[k] == name && k + 1 < args.Length) yield return args[k + 1];
    }

    private static IEnumerable<string> Names(PluginCatalogue plugins, string kind) => plugins.All.Where(p => p.Contract.Kind == kind).Select(p => p.Contract.Name).Distinct();

    private static string Description(PluginCatalogue plugins, string? method)
    {
        var of = method is null ? $"`train METHOD --help` lists a method's options, with --adapter TYPE the adapter's too." : $"The options below are those of {method}{(method.Contains('/') ? "" : " and of the training loop")}; add --adapter TYPE for an adapter's.";
        return $$"""
            Trains one model with one method on rows, without a manifest.

            Rows are JSON objects, one per line, plain or .gz:
              {text}, {messages}, {prompt, completion}                         whole texts, chats, answers
              {prompt, chosen, rejected}, {prompt, completion, label}          pairs; single answers with a verdict
              {input_ids, labels}, {prompt_ids, completion_ids[, label]},      tokens, used as they are
              {prompt_ids, chosen_ids, rejected_ids}
            Each text may be a list of messages. Rows without a trained token are refused and counted in ledger.json.

            DIR gets adapter/ (PEFT's format) or model/ (a Hugging Face folder), metrics.jsonl, run.json, ledger.json and
            checkpoints/STEP. The same command again goes on from the last checkpoint, to the same bytes as a run that was
            never stopped, or says that all is done.

            {{of}}
            Methods: {{string.Join(", ", Names(plugins, "method"))}}. Adapters: none, {{string.Join(", ", Names(plugins, "adapter"))}}.
            """;
    }

    // The options that every method has.
    private sealed class Parts
    {
        internal readonly Argument<string?> Method = new("METHOD") { Arity = ArgumentArity.ZeroOrOne, Description = "The method's name." };
        internal readonly Option<bool> DryRun = new("--dry-run") { Description = "Say what would be done and how much memory it takes." };
        private readonly Option<string> model = new("--model") { HelpName = "DIR", Required = true, Description = "The model's folder." };
        private readonly Option<string> data = new("--data") { HelpName = "F.jsonl", Required = true, Description = "The rows." };
        private readonly Option<string> target = new("--out") { HelpName = "DIR", Required = true, Description = "Where everything goes." };
        private readonly Option<string?> adapter = new("--adapter") { HelpName = "TYPE", Description = "Train an adapter; without it, or with none, every weight is trained." };
        private readonly Option<string?> quantization = new("--quantization") { HelpName = "TYPE", Description = "Train the adapter over a quantised base." };
        private readonly Option<string?> template = new("--chat-template") { HelpName = "NAME_OR_FILE", Description = "Another chat template than the model's." };
        private readonly Option<string[]> plugins = PluginFolders.Option();

        internal void AddTo(Command command, PluginCatalogue known)
        {
            command.Add(Method);
            foreach (var option in (Option[])[model, data, target, adapter, template, DryRun, plugins]) command.Add(option);
            if (Names(known, "quantization").Any()) command.Add(quantization);
        }

        internal TrainRequest Request(ParseResult parsed, string method, Session session) => new()
        {
            Method = method,
            Model = parsed.GetValue(model)!,
            Data = parsed.GetValue(data)!,
            Out = parsed.GetValue(target)!,
            Adapter = parsed.GetValue(adapter) is { } type && type != "none" ? type : null,
            Quantization = parsed.GetValue(quantization),
            ChatTemplate = parsed.GetValue(template),
            Seed = session.Global.Seed ?? 42,
            Device = session.Global.Device,
            Values = new Dictionary<string, string>(),
            Unmatched = [],
            Flags = [],
        };
    }
}
