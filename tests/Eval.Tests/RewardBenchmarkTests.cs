// The benchmark `reward`: what it asks of a model and of a judge, what counts and what does not, and prompts that are none.

using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using PeftAlign.Abstractions;
using PeftAlign.Eval.Benchmarks;

namespace PeftAlign.Eval.Tests;

public sealed class RewardBenchmarkTests
{
    // The host as it lends a dataset.
    private sealed class Lent(params string[] rows) : IPluginContext, IDatasets
    {
        public ILogger Logger => NullLogger.Instance;

        public string Folder => "";

        public object? GetService(Type type) => type == typeof(IDatasets) ? this : null;

        public IEnumerable<DataRecord> Open(DatasetReference dataset) => rows.Select((row, k) => new DataRecord(JsonNode.Parse(row)!.AsObject(), "rows.jsonl", (k % 3) + 1) { Line = k + 1 });
    }

    private static RewardBenchmark Benchmark(RewardOptions options, params string[] rows)
    {
        (options.Dataset, options.Judge) = (new DatasetReference([]), new JudgeReference(new JsonObject { ["type"] = "classifier" }));
        return new RewardBenchmark(options, new Lent(rows));
    }

    [Test]
    public void A_model_answers_and_the_judge_rates_prompt_and_answer()
    {
        var benchmark = Benchmark(new RewardOptions { Sampling = { MaxNewTokens = 7, Temperature = 0.5, TopP = 0.9, Seed = 3 } }, """{"prompt": "Who?"}""", """{"prompt": [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Why?"}]}""", """{"prompt": [{"role": "user", "content": "Hm?"}]}""", """{"prompt": [{"role": "user", "content": "Name a bird."}, {"role": "assistant", "content": "The wren."}, {"role": "user", "content": "Another!"}]}""");
        var items = benchmark.Items().ToList();
        var asked = items.Select(item => (EvalRequest.Generate)benchmark.Requests(item).Single()).ToList();
        Assert.That((asked[0].Prompt, asked[0].Messages, asked[0].MaxNewTokens, asked[0].Temperature, asked[0].TopP, asked[0].Seed), Is.EqualTo(("Who?", (object?)null, 7, 0.5, 0.9, 3UL)));
        Assert.That(asked[1].Messages, Is.EqualTo((ChatTurn[])[new("system", "Be short."), new("user", "Why?")]));
        var further = items.Select((item, k) => ((EvalRequest.Judge)benchmark.FollowUps(item, [new EvalResponse(0, 2, false) { Texts = [$" answer {k}"] }]).Single()).Question);
        Assert.That(further, Is.EqualTo((JudgeQuestion[])[new JudgeQuestion.Rate("Who?", " answer 0"), new JudgeQuestion.Rate("system: Be short.\n\nuser: Why?", " answer 1"), new JudgeQuestion.Rate("Hm?", " answer 2"), new JudgeQuestion.Rate("user: Name a bird.\n\nassistant: The wren.\n\nuser: Another!", " answer 3")]));
    }

    // A folder's files number their rows each from 1.
    [Test]
    public void Rows_of_several_files_are_several_items() =>
        Assert.That(Benchmark(new RewardOptions(), [.. Enumerable.Repeat("""{"prompt": "a"}""", 5)]).Items().Select(item => item.Id), Is.EqualTo(new[] { "1", "2", "3", "4", "5" }));

    [Test]
    public void The_mean_is_over_what_was_rated_and_failures_are_counted()
    {
        var benchmark = Benchmark(new RewardOptions { Label = 1 }, """{"prompt": "a"}""");
        var item = benchmark.Items().Single();
        IReadOnlyList<ItemScore> Scored(string text, JudgeAnswer answer) => benchmark.Score(item, [new EvalResponse(0, 4, false) { Texts = [text] }, new EvalResponse(0, 0, false) { Judgement = answer }]);
        ItemScore[] all = [.. Scored("x", new JudgeAnswer { Scores = [9, 1] }), .. Scored("", new JudgeAnswer { Scores = [9, 4] }), .. Scored("y", JudgeAnswer.Failed("away"))];
        var results = benchmark.Aggregate(all).ToDictionary(result => result.Metric);
        Assert.That((results["reward"].Value, results["reward"].Count, results["failed"].Value, results["new_tokens"].Value), Is.EqualTo((2.5, 2, 1.0, 4.0)));
        Assert.That(results["reward"].StandardError, Is.EqualTo(1.5).Within(1e-12));
        Assert.That(results["empty"].Value, Is.EqualTo(1 / 3.0).Within(1e-12));
        Assert.That(() => Scored("x", new JudgeAnswer { Scores = [9] }), Throws.InstanceOf<UserErrorException>().With.Message.Contains("label: 1"));
        Assert.That(() => benchmark.Aggregate([.. Scored("y", JudgeAnswer.Failed("away"))]), Throws.InstanceOf<InvalidDataException>());
    }

    [TestCase("""{"question": "a"}""")]
    [TestCase("""{"prompt": []}""")]
    [TestCase("""{"prompt": ["a"]}""")]
    [TestCase("""{"prompt": [{"role": "user"}]}""")]
    public void A_row_without_a_prompt_is_named(string row) =>
        Assert.That(() => Benchmark(new RewardOptions(), """{"prompt": "a"}""", row).Items().ToList(), Throws.InstanceOf<UserErrorException>().With.Message.Contains("rows.jsonl, line 2"));
}
