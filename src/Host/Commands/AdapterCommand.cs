// peftalign adapter: what is in an adapter folder, and an adapter into full weights; `adapter combine` is in AdapterCombineCommand.cs.

using System.CommandLine;
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
            IReadOnlyList<AdapterSite> Sites(ModelOutline outline) => AdapterReader.Sites(opened, outline, parsed.GetValue(adapter)!, warn);
            var quantization = choice.Make(parsed, catalogue, ModelConfig.Open(from).IsQuantized);
            TrainedWith.WarnOfFullBase(parsed.GetValue(adapter)!, from, quantization is not null || ModelConfig.Open(from).IsQuantized, warn);
            NewFolder.Fill(target, folder =>
            {
                (changed, all, decoded) = AdapterMerge.Write(folder, from, Sites, PluginArchitectures.Of(catalogue), TypeOf(session.Global.Dtype), quantization, cancel, warn, opened.Files.Tensors);
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
