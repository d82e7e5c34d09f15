// peftalign adapter: what is in an adapter folder, and an adapter into full weights; `adapter combine` is in AdapterCombineCommand.cs.

using System.CommandLine;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Host.Adapters;
using PeftAlign.Host.CommandLine;
using PeftAlign.Host.Inference;
using PeftAlign.Host.Quantizing;
using PeftAlign.Models.Adapters;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Classifiers;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Templates;
using PeftAlign.Plugins;
using PeftAlign.Torch;

namespace PeftAlign.Host.Commands;

internal static class AdapterCommand
{
    private const string Summary = "look at adapters, merge one into its base, combine several";

    public static CommandEntry Entry { get; } = new("adapter", Summary, frame => new Command("adapter", Summary) { Info(frame), Merge(frame), AdapterCombineCommand.Build(frame) });

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
            With a 4-bit base, or a full one and --quantization, the adapter is added to the decoded matrices, which it was
            trained over. The result is never quantised again; quantize does that. Where the adapter's folder holds embedding
            and head with more rows than the base's (its vocabulary was resized), the result has these, and its tokenizer.
            """;
        var command = new Command("merge", description) { model, adapter, output, plugins };
        foreach (var option in choice.Options) command.Add(option);
        frame.OnRun(command, Uses.Threads | Uses.Dtype, (parsed, session, cancel) =>
        {
            if (session.Global.Threads is { } threads) torch.set_num_threads(threads);
            var request = new MergeRequest(parsed.GetValue(model)!, parsed.GetValue(adapter)!, Empty(parsed.GetValue(output)!));
            var catalogue = PluginFolders.Search(parsed, plugins).Scan();
            Merge(request, catalogue, isQuantized => choice.Make(parsed, catalogue, isQuantized), session, cancel);
            return Task.FromResult(ExitCode.Done);
        });
        command.Options.Single(option => option.Name == "--dtype").Description = "float32, bfloat16 or float16 (default: each weight keeps its type).";
        return command;
    }

    private sealed record MergeRequest(string Base, string Adapter, string Target);

    private static void Merge(MergeRequest request, PluginCatalogue catalogue, Func<bool, IQuantization?> quantizationOf, Session session, CancellationToken cancel)
    {
        var (from, adapter, target) = request;
        Action<string> warn = session.Output.Warn;
        var opened = new AdapterReader(catalogue).Open(adapter, warn);
        var config = ModelConfig.Open(from);
        if (opened.Files.Config.Text("task_type") == "SEQ_CLS" && !ClassifierFolder.IsClassifier(config))
            throw new UserError($"--adapter {adapter}", $"is a sequence classifier's adapter (task_type SEQ_CLS), and {from} is a language model", "give the classifier's folder as --model; a reward training has written what you want as its folder model");
        TrainedWith.ThrowIfOther(adapter, from, config.VocabularySize, warn);
        var quantization = quantizationOf(config.IsQuantized);
        TrainedWith.WarnOfFullBase(adapter, from, quantization is not null || config.IsQuantized, warn);
        IReadOnlyList<AdapterSite> Sites(ModelOutline outline) => AdapterReader.Sites(opened, outline, adapter, warn);
        var (changed, all, decoded) = (0, 0, 0);
        NewFolder.Fill(target, folder =>
        {
            (changed, all, decoded) = AdapterMerge.Write(folder, from, Sites, PluginArchitectures.Of(catalogue), ComputeType.Named(session.Global.Dtype), quantization, cancel, warn, opened.Files.Tensors, Ticker.Counter(session.Output, "tensors written"));
            GrownVocabulary.Write(folder, from, adapter, session.Output.Remark);
            // A model that was trained with a template must be used with that template.
            if (TrainedWith.TemplateIn(adapter) is { } template) File.WriteAllText(Path.Combine(folder, ChatTemplateLoader.FileName), template);
        });
        if (decoded > 0) session.Output.Remark($"{decoded} matrices of the base were decoded from 4 bits and are written as {session.Global.Dtype ?? "the type that they were quantised from"}; nothing is quantised again");
        session.Output.Result(
            () => new JsonObject { ["out"] = Path.GetFullPath(target), ["tensors"] = all, ["changed"] = changed, ["decoded"] = decoded, ["dtype"] = session.Global.Dtype },
            () => [$"{target}: {changed} of {all} tensors changed by the adapter"]);
    }

    private static string Empty(string folder)
    {
        NewFolder.ThrowIfTaken(folder);
        return folder;
    }
}
