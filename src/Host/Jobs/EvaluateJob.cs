// One benchmark on one policy: results.json and samples_*.jsonl beside it.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Host.Running;
using PeftAlign.Models.Engine;

namespace PeftAlign.Host.Jobs;

internal static class EvaluateJob
{
    private const int ItemsAtOnce = 64;

    internal static JsonObject Run(JobContext job)
    {
        var spec = job.Spec.Options;
        if (spec["control"] is not null) throw new UserErrorException("control of an evaluation is not built yet; leave it out.");
        var benchmark = job.Create<IBenchmark>(spec["benchmark"]!);
        var policy = Policies.Load(job, Policies.Place(job, spec["policy"]!));
        var engine = new LogProbEngine(policy.Model);
        var items = benchmark.Items().ToList();
        if (items.Count == 0) throw new UserErrorException($"Benchmark {benchmark.Info.Id} has no items.");

        var scores = new List<ItemScore>();
        var samples = new List<string>();
        foreach (var chunk in items.Chunk(ItemsAtOnce))
        {
            job.Cancellation.ThrowIfCancellationRequested();
            var asked = chunk.Select(item => (Item: item, Groups: Requests.Groups(benchmark.Requests(item), policy.Tokenizer))).ToList();
            var answers = new Queue<EvalResponse>(engine.Score(asked.SelectMany(a => a.Groups).ToList(), policy.Mode));
            foreach (var (item, groups) in asked)
            {
                var own = groups.SelectMany(g => g.Completions).Select(_ => answers.Dequeue()).ToList();
                if (own.Any(a => double.IsNaN(a.LogProb))) throw new InvalidDataException($"the model gives NaN for item {item.Id}; its weights are damaged or training diverged");
                var score = new ItemScore(item.Id, benchmark.Score(item, own));
                scores.Add(score);
                samples.Add(Sample(item, own, score));
            }
            job.Progress(scores.Count, items.Count, benchmark.Info.Id);
        }
        var metrics = benchmark.Aggregate(scores);
        if (metrics.Count == 0) throw new InvalidDataException($"benchmark {benchmark.Info.Id} has no metric");
        var results = Results(benchmark.Info, metrics);
        RunFolder.Write(job.Folder.File($"samples_{benchmark.Info.Id}.jsonl"), string.Join("\n", samples) + "\n");
        RunFolder.Write(job.Folder.File("results.json"), results.ToJsonString(new() { WriteIndented = true }) + "\n");
        return new JsonObject { ["benchmark"] = benchmark.Info.Id, ["results"] = results["results"]![benchmark.Info.Id]!.DeepClone() };
    }

    // lm-evaluation-harness's shape: "metric,filter" and "metric_stderr,filter".
    private static JsonObject Results(BenchmarkInfo info, IReadOnlyList<MetricResult> metrics)
    {
        var row = new JsonObject { ["alias"] = info.Id };
        foreach (var metric in metrics)
        {
            row[$"{metric.Metric},none"] = JsonNumber.Of(metric.Value);
            row[$"{metric.Metric}_stderr,none"] = metric.StandardError is { } error ? JsonNumber.Of(error) : "N/A";
        }
        return new JsonObject
        {
            ["results"] = new JsonObject { [info.Id] = row },
            ["versions"] = new JsonObject { [info.Id] = info.Version },
            ["n-samples"] = new JsonObject { [info.Id] = new JsonObject { ["original"] = metrics[0].Count, ["effective"] = metrics[0].Count } },
            ["higher_is_better"] = new JsonObject { [info.Id] = new JsonObject(metrics.Select(m => new KeyValuePair<string, JsonNode?>(m.Metric, m.HigherIsBetter))) },
        };
    }

    private static string Sample(EvalItem item, IReadOnlyList<EvalResponse> answers, ItemScore score)
    {
        var sample = new JsonObject
        {
            ["doc_id"] = item.Id,
            ["doc"] = item.Document.DeepClone(),
            ["resps"] = new JsonArray([.. answers.Select(a => (JsonNode)new JsonArray(JsonNumber.Of(a.LogProb), a.IsGreedy))]),
            ["tokens"] = new JsonArray([.. answers.Select(a => (JsonNode)a.Tokens)]),
        };
        foreach (var (metric, value) in score.Scores)
            if (!sample.TryAdd(metric, JsonNumber.Of(value))) throw new InvalidDataException($"the benchmark has a score called '{metric}', which is a field of every sample; its author must rename it");
        return sample.ToJsonString();
    }
}
