// lm-evaluation-harness's own task files on two tiny models: every item, every number, every standard error as its 0.4.13 gives
// them, within the tolerances of golden/lmeval/README.md.

using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Eval.Tasks;
using PeftAlign.Host.Evaluation;

namespace PeftAlign.Eval.Tests;

public sealed class GoldenTaskTests
{
    [TestCase("stories260K")]
    [TestCase("bytebpe")]
    public void Every_item_and_every_number_is_the_harness_s(string name)
    {
        var root = Places.Shared("golden/lmeval");
        Check(root, name, name == "bytebpe" ? Models.Of(Path.Combine(root, "model-bytebpe")) : Models.Stories, Path.Combine(root, name));
    }

    [Test]
    public void The_tasks_that_lie_in_the_repository_agree() =>
        Check(Places.Fixture("lmeval"), "stories260K", Models.Stories, Path.Combine(Places.Fixture("lmeval"), "stories260K"));

    private static void Check(string root, string name, EvalModel model, string golden)
    {
        var results = Places.Json(Path.Combine(golden, "results.json"));
        var samples = Directory.GetFiles(Path.Combine(golden, "samples")).ToDictionary(f => Path.GetFileNameWithoutExtension(f), f => File.ReadLines(f).Select(l => JsonNode.Parse(l)!).ToList());
        var benchmark = new TasksBenchmark(new TasksOptions { Path = Path.Combine(root, "tasks"), Data = root, BootstrapIters = (int)results["bootstrap_iters"]!, Names = name == "bytebpe" ? [.. samples.Keys] : null });
        var folder = Path.Combine(Path.GetTempPath(), $"peftalign-eval-{Guid.NewGuid():N}");
        try
        {
            using var records = new ItemRecords(Path.Combine(folder, "records.jsonl"), name, _ => { });
            var evaluated = new Evaluator(() => model, null, records, (_, _) => { }, CancellationToken.None).Run(benchmark);
            Items(evaluated, samples);
            Numbers(evaluated, results["results"]!.AsObject(), results["groups"]?.AsObject() ?? []);
            if (File.Exists(Path.Combine(golden, "results_unweighted_groups.json"))) Numbers(evaluated, [], Places.Json(Path.Combine(golden, "results_unweighted_groups.json")).AsObject());
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static void Items(Evaluated evaluated, Dictionary<string, List<JsonNode>> samples)
    {
        var seen = 0;
        foreach (var (task, rows) in samples)
            foreach (var row in rows)
            {
                var item = evaluated.Items.Single(i => i.Item.Task == task && i.Item.Id == row["doc_id"]!.ToString());
                var score = item.Scores.Single(s => s.Filter == (string)row["filter"]!);
                var what = $"{task} {row["doc_id"]} {row["filter"]}";
                if (row["requests"] is JsonArray requests) Pairs(item, requests, row, what);
                else if (row["response"] is { } response) Assert.That((item.Responses[0].Texts[0], (string)score.Answer![0]!), Is.EqualTo(((string)response!, (string)row["filtered"]![score.Filter]![0]!)), what);
                Contributions(score, row["metrics"]!.AsObject(), what);
                seen++;
            }
        Assert.That(seen, Is.EqualTo(samples.Sum(s => s.Value.Count)).And.GreaterThan(20));
    }

    private static void Pairs(EvaluatedItem item, JsonArray requests, JsonNode row, string what)
    {
        Assert.That(item.Requests, Has.Count.EqualTo(requests.Count), what);
        for (var k = 0; k < requests.Count; k++)
        {
            var (ask, golden) = ((EvalRequest.LogLikelihood)item.Requests[k], requests[k]!);
            if (row["context"] is { } context) Assert.That(ask.Context, Is.EqualTo((string)(golden["context"] ?? context)!), what);
            Assert.That(ask.Continuation, Is.EqualTo((string)golden["continuation"]!), what);
            Assert.That(item.Responses[k].LogProb, Is.EqualTo((double)golden["loglikelihood"]!).Within(1e-4), what);
            Assert.That(item.Responses[k].IsGreedy, Is.EqualTo((bool)golden["is_greedy"]!), what);
        }
    }

    // A number, a pair of labels or texts, a log-likelihood with a count, or (of brier_score) the probabilities.
    private static void Contributions(ItemScore score, JsonObject metrics, string what)
    {
        foreach (var (metric, value) in metrics)
            if (value is JsonValue) Assert.That(score.Scores[metric], Is.EqualTo((double)value).Within(1e-4), $"{what} {metric}");
            else if (metric == "brier_score") Assert.That(score.Scores, Does.ContainKey(metric));
            else
                for (var k = 0; k < 2; k++)
                {
                    var (own, golden) = (score.Details![metric]![k]!, value![k]!);
                    if (golden.GetValueKind() == JsonValueKind.String) Assert.That((string)own!, Is.EqualTo((string)golden!), $"{what} {metric}");
                    else Assert.That(double.Parse(own.ToJsonString(), System.Globalization.CultureInfo.InvariantCulture), Is.EqualTo((double)golden).Within(1e-3), $"{what} {metric}");
                }
    }

    private static void Numbers(Evaluated evaluated, JsonObject results, JsonObject groups)
    {
        var seen = 0;
        foreach (var (task, row) in results.Concat(groups))
            foreach (var (key, value) in row!.AsObject().Where(e => e.Key.Contains(',') && !e.Key.Contains("_stderr,")))
            {
                var (metric, filter) = (key.Split(',')[0], key.Split(',')[1]);
                var own = evaluated.Metrics.Single(m => m.Task == task && m.Metric == metric && m.Filter == filter);
                var (golden, error) = ((double)value!, row[$"{metric}_stderr,{filter}"]!);
                // Perplexities are exponentials of sums of log-likelihoods.
                var tolerance = metric.Contains("perplexity") || metric == "brier_score" ? 1e-5 * Math.Abs(golden) + 1e-5 : 1e-6;
                Assert.That(own.Value, Is.EqualTo(golden).Within(tolerance), $"{task} {key}");
                if (error.GetValueKind() == JsonValueKind.String) Assert.That(own.StandardError, Is.Null, $"{task} {key}: {error}");
                else Assert.That(own.StandardError, Is.EqualTo((double)error).Within(metric == "perplexity" ? 1e-4 * (double)error : 1e-8), $"{task} {key}: standard error");
                seen++;
            }
        Assert.That(seen, Is.GreaterThan(0));
    }
}
