// One `eval`: the benchmarks one after the other on one model, which is loaded when the first of them asks something.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Host.Adapters;
using PeftAlign.Host.CommandLine;
using PeftAlign.Host.Inference;
using PeftAlign.Host.Jobs;
using PeftAlign.Host.Running;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Plugins;

namespace PeftAlign.Host.Evaluation;

internal sealed class EvalRun(ModelChoice choice, EvalRequestLine asked, PluginCatalogue plugins, Session session, CancellationToken cancel)
{
    private EvalModel? loaded;

    /// <summary>Runs all and writes the files.</summary>
    /// <returns>The content of results.json.</returns>
    internal JsonObject Run()
    {
        var folder = Folder(asked.Out);
        _ = choice.Resolved(); // an unknown control is found before anything is written
        _ = ModelConfig.Open(choice.Model); // and what is no model's folder
        using var held = new EvalLock(folder, asked.Out);
        var spec = new JobSpec("eval", "evaluate", "eval", [], Directory.GetCurrentDirectory(), session.Threads, []) { Device = session.Global.Device };
        var job = new JobContext(spec, folder, plugins, new RemarkLogger(session.Output), (_, _, _) => { }, cancel);
        var hashes = new ContentHashes(folder.File("hashes.json"), Directory.GetCurrentDirectory()) { Cancellation = cancel };
        foreach (var (_, options) in asked.Benchmarks) JudgeContent.Note(options, plugins, hashes);
        var benchmarks = asked.Benchmarks.Select(b => job.Create<IBenchmark>(new JsonObject { ["name"] = b.Name, ["options"] = b.Options.DeepClone() })).ToList();
        using var records = new ItemRecords(folder.File(ItemRecords.FileName), Subject(hashes), session.Output.Warn, SchemaCatalogue.VersionOf("evaluate")) { Check = hashes.ThrowIfChanged };
        var evaluated = new List<Evaluated>();
        foreach (var benchmark in benchmarks)
        {
            using var ticker = new EvalTicker(session.Output, benchmark.Info.Id);
            var evaluator = new Evaluator(() => loaded ??= Load(hashes), job.Judges, records, ticker.Say, cancel);
            evaluated.Add(evaluator.Run(benchmark));
            if (evaluated[^1].Missed is { } missed) session.Output.Warn(missed);
            if (evaluated[^1].NotNumbers is { } odd) session.Output.Warn(odd);
            if (evaluator.Asking > TimeSpan.Zero) session.Output.Remark($"{benchmark.Info.Id}: asked in {evaluator.Asking.TotalSeconds:0.000} s");
        }
        job.Judges.Settle(evaluated);
        records.Keep();
        hashes.Save();
        return ResultFiles.Write(folder.Path, evaluated, Config());
    }

    private EvalModel Load(ContentHashes hashes)
    {
        var model = InferenceModel.Load(choice, session);
        hashes.ThrowIfChanged(); // before hours of answers that would not be kept
        return EvalModel.Of(choice.Model, model.Decoder, model.Mode, model.Tokenizer, model.Template(asked.ChatTemplate, session.Output.Remark)) with { Control = model.Control, Warn = session.Output.Warn };
    }

    private string Type => session.Global.Dtype ?? ComputeType.Standard(ComputeDevice.Of(session), choice.Model).ToString().ToLowerInvariant();

    private JsonObject Config()
    {
        var benchmarks = new JsonArray([.. asked.Benchmarks.Select(b => (JsonNode)new JsonObject { ["name"] = b.Name, ["options"] = b.Options.DeepClone() })]);
        return new JsonObject { ["model"] = "peftalign", ["model_args"] = new JsonObject { ["model"] = choice.Model, ["adapter"] = choice.Adapter, ["control"] = choice.Control, ["device"] = $"{ComputeDevice.Of(session)}", ["dtype"] = Type, ["chat_template"] = asked.ChatTemplate }, ["benchmarks"] = benchmarks };
    }

    // Everything about the model that answers depend on.
    private string Subject(ContentHashes hashes)
    {
        string Of(string path) => hashes.Of(path) ?? throw new UserError(path, "is not there", "give a folder");
        var template = asked.ChatTemplate is { } name ? File.Exists(name) ? Of(name) : name : "";
        // As in a plan: what the product computes is told by its content alone.
        var parts = string.Concat(new FolderParts(Directory.GetCurrentDirectory(), plugins.Plugins).Of(choice.Model).Select(part => $"+{part.Plugin}/{part.Name}@{part.ResultVersion}"));
        return $"{Of(choice.Model)}{parts} {(choice.Adapter is { } adapter ? Of(adapter) + new AdapterReader(plugins).PartOf(choice.Resolved().Choice.Adapter!) : "")} {(choice.Control is { } control ? $"control {control} " : "")}{Type} {template}";
    }

    /// <summary>The folder of results.</summary>
    /// <exception cref="UserError">It holds something else.</exception>
    internal static JobFolder Folder(string target)
    {
        var folder = new JobFolder(Path.GetFullPath(target));
        if (File.Exists(folder.Path)) throw new UserError($"--out {target}", "is a file", "give a folder");
        var records = folder.File(ItemRecords.FileName);
        var isOther = File.Exists(records) ? !ItemRecords.IsOurs(records) : Directory.Exists(folder.Path) && Directory.EnumerateFileSystemEntries(folder.Path).Any(e => Path.GetFileName(e) is not ("hashes.json" or "judging.json" or "lock"));
        if (isOther) throw new UserError($"--out {target}", "holds other things than an evaluation", "give a new or empty folder");
        return folder;
    }
}
