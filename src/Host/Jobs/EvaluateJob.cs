// One benchmark on one policy: results.json and samples_*.jsonl; records.jsonl holds the answers item by item.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Host.Evaluation;

namespace PeftAlign.Host.Jobs;

internal static class EvaluateJob
{
    /// <summary>Of an outcome, questions to a judge that nobody answered; not there where all are.</summary>
    internal const string UnansweredKey = "unanswered";

    internal static JsonObject Run(JobContext job)
    {
        var spec = job.Spec.Options;
        using var models = job.Models;
        var benchmark = job.Create<IBenchmark>(spec["benchmark"]!);
        // The job's id says of what policy and benchmark.
        using var records = new ItemRecords(job.Folder.File(ItemRecords.FileName), job.Spec.Id, job.Warn);
        var evaluator = new Evaluator(() => Model(job, spec["policy"]!, (string?)spec["control"]), job.Judges, records, (done, total) => job.Progress(done, total, benchmark.Info.Id), job.Cancellation);
        var evaluated = evaluator.Run(benchmark);
        job.Judges.Settle([evaluated]);
        if (evaluated.NotNumbers is { } odd) job.Warn(odd);
        var results = ResultFiles.Write(job.Folder.Path, [evaluated], new JsonObject { ["model"] = "peftalign", ["policy"] = spec["policy"]!.DeepClone(), ["control"] = spec["control"]?.DeepClone(), ["benchmark"] = spec["benchmark"]!.DeepClone() });
        var outcome = new JsonObject { ["benchmark"] = benchmark.Info.Id, ["results"] = results["results"]![ResultFiles.Headline(evaluated)]!.DeepClone() };
        if (evaluated.Unanswered > 0) outcome[UnansweredKey] = evaluated.Unanswered;
        return outcome;
    }

    private static EvalModel Model(JobContext job, JsonNode policy, string? control)
    {
        var (place, text) = Policies.Place(job, policy).Under(control);
        var loaded = Policies.Load(job, place);
        return EvalModel.Of(place.Base, loaded.Model, loaded.Mode, loaded.Tokenizer, loaded.ChatTemplate) with { Control = text, Warn = job.Warn };
    }
}
