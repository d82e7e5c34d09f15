// One `winrate`: the answers of two files before a judge, or judgements that were made before. No model is asked.

using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Host.CommandLine;
using PeftAlign.Host.Jobs;
using PeftAlign.Host.Running;
using PeftAlign.Plugins;

namespace PeftAlign.Host.Evaluation;

/// <param name="asked">Options of the benchmark winrate.</param>
/// <param name="target">Where results go.</param>
/// <param name="plugins">Benchmarks and judges.</param>
/// <param name="session">The command's surroundings.</param>
/// <param name="cancel">Ends the work between batches.</param>
internal sealed class WinrateRun(JsonObject asked, string target, PluginCatalogue plugins, Session session, CancellationToken cancel)
{
    private static readonly JsonSerializerOptions Indented = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, WriteIndented = true };

    /// <summary>Runs it and writes results.json, samples_*.jsonl and, where a judge was asked, annotations.json in AlpacaEval's shape.</summary>
    /// <returns>The content of results.json.</returns>
    internal JsonObject Run()
    {
        var folder = EvalRun.Folder(target);
        using var held = new EvalLock(folder, target);
        var spec = new JobSpec("winrate", "evaluate", "winrate", [], Directory.GetCurrentDirectory(), session.Threads, []) { Device = session.Global.Device };
        var job = new JobContext(spec, folder, plugins, new RemarkLogger(session.Output), (_, _, _) => { }, cancel);
        var hashes = new ContentHashes(folder.File("hashes.json"), Directory.GetCurrentDirectory()) { Cancellation = cancel };
        JudgeContent.Note(asked, plugins, hashes); // a judgement is kept with its judge, so there is no other subject
        var benchmark = job.Create<IBenchmark>(new JsonObject { ["name"] = "winrate", ["options"] = asked.DeepClone() });
        using var records = new ItemRecords(folder.File(ItemRecords.FileName), "winrate", session.Output.Warn, SchemaCatalogue.VersionOf("evaluate")) { Check = hashes.ThrowIfChanged };
        using var ticker = new EvalTicker(session.Output, benchmark.Info.Id);
        var evaluated = new Evaluator(() => throw new InvalidOperationException("winrate asks no model"), job.Judges, records, ticker.Say, cancel).Run(benchmark);
        if (evaluated.Missed is { } missed) session.Output.Warn(missed);
        if (evaluated.NotNumbers is { } odd) session.Output.Warn(odd);
        job.Judges.Settle([evaluated]);
        records.Keep();
        hashes.Save();
        if (asked["judge"] is not null) RunFolder.Write(folder.File("annotations.json"), Annotations(evaluated).ToJsonString(Indented) + "\n");
        return ResultFiles.Write(folder.Path, [evaluated], new JsonObject { ["model"] = "files", ["benchmarks"] = new JsonArray(new JsonObject { ["name"] = "winrate", ["options"] = asked.DeepClone() }) });
    }

    private static JsonArray Annotations(Evaluated evaluated)
    {
        var annotator = (string?)evaluated.Info.Settings?["annotator"];
        return new JsonArray([.. evaluated.Items.Select(item =>
        {
            var row = item.Item.Document.DeepClone().AsObject();
            row["annotator"] = annotator;
            row["preference"] = item.Scores[0].Scores.TryGetValue("preference", out var preference) ? preference : null;
            return (JsonNode)row;
        })]);
    }
}
