// From an evaluation's results.json to the report's number: how many items stand behind it, and what its interval may promise.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Core.Claims;
using PeftAlign.Core.Statistics;
using PeftAlign.Host.Evaluation;
using PeftAlign.Host.Reports;
using PeftAlign.Host.Running;

namespace PeftAlign.Host.Tests;

public sealed class MeasuredTests
{
    private string folder = "";

    private string Job => Directory.CreateDirectory(Path.Combine(folder, "jobs", "e1")).FullName;

    private string Results => Path.Combine(Job, "results.json");

    [SetUp]
    public void Make() => folder = Directory.CreateTempSubdirectory("peftalign-measured-").FullName;

    [TearDown]
    public void Drop() => Directory.Delete(folder, recursive: true);

    // Of ten pairs the judge failed at three: the rate is of seven, the count of failures of all ten.
    [Test]
    public void Each_number_says_how_many_items_stand_behind_it()
    {
        var items = Enumerable.Range(0, 10).Select(k => new EvaluatedItem(new EvalItem($"{k}", []), [], [], [new ItemScore($"{k}", k < 7 ? new Dictionary<string, double> { ["win_rate"] = 100 * (k % 2) } : [])])).ToList();
        ResultFiles.Write(Job, [new Evaluated(new BenchmarkInfo("pairs", 1), items, [new MetricResult("win_rate", 300.0 / 7, 20, 7, HigherIsBetter: true), new MetricResult("failed", 3, null, 10, HigherIsBetter: false)])], []);
        var written = JsonNode.Parse(File.ReadAllText(Results))!.AsObject();
        Assert.That(written["n-samples"]!["pairs"]!.ToJsonString(), Is.EqualTo("""{"original":10,"effective":10,"cut":0}"""), "as the harness has it");
        Assert.That(Read().Select(m => (m.Metric, m.Count)), Is.EqualTo(new[] { ("win_rate", 7), ("failed", 10) }));
        Assert.That(Estimate.Circumstances(Estimates.Of(Read()).Where(e => e.Metric == "win_rate")), Is.EqualTo("n = 7"));
        written.Remove(ResultFiles.ScoredKey);
        File.WriteAllText(Results, written.ToJsonString());
        Assert.That(Read().Select(m => (m.Metric, m.Count)), Is.EqualTo(new[] { ("win_rate", 10), ("failed", 10) }), "older results are read as before");
    }

    // Of 50 answers one has no verdict and none of the others is harmful: the interval is of those 49.
    [TestCase(0)]
    [TestCase(12)]
    public void A_rate_whose_judge_left_out_an_item_has_Wilsons_interval(int harmful)
    {
        var items = Enumerable.Range(0, 50).Select(k => new EvaluatedItem(new EvalItem($"{k}", []), [], [], [new ItemScore($"{k}", k < 49 ? new Dictionary<string, double> { ["asr"] = k < harmful ? 1 : 0 } : [])])).ToList();
        ResultFiles.Write(Job, [new Evaluated(new BenchmarkInfo("pairs", 1), items, [new MetricResult("asr", harmful / 49.0, 0.05, 49, HigherIsBetter: false)])], []);
        var measured = Read().Single();
        Assert.That((measured.Count, measured.Observation.Items.Length), Is.EqualTo((49, 0)), "policies are compared item by item only where all have all");
        var (estimate, wilson) = (Estimates.Of([measured]).Single(), Proportions.Wilson95(harmful, 49));
        Assert.That((estimate.Interval.Lower, estimate.Interval.Upper, estimate.Method), Is.EqualTo((wilson.Lower, wilson.Upper, "Wilson")));
    }

    // At 0 % the standard error is 0, and an interval of one point would say that no other item could come out otherwise.
    [TestCase(0.0, double.NaN, "")]
    [TestCase(6e-15, double.NaN, "")] // what rounding leaves of 0
    [TestCase(0.1, 1.96 * 0.1, "± 1.96 standard errors")]
    public void A_standard_error_of_zero_is_no_interval(double error, double half, string method)
    {
        var job = new RunJob("e1", "evaluate", "evaluate/harm/base", new Dictionary<string, string> { ["benchmark"] = "harm" }, [], [], null, null);
        var one = Estimates.Of([new Measured(job, "asr", new Observation { Axes = job.Axes, Metric = "asr", Value = 0, Items = [] }, error, 50) { Source = ("harm", "asr") }]).Single();
        Assert.That((one.Interval.Upper, one.Method), Is.EqualTo((half, method)));
    }

    // Three trainings that came out 0.1 apart, each with a hundred items: the next one is not where the items put it.
    [Test]
    public void An_interval_of_few_seeds_is_no_narrower_than_ts()
    {
        Measured Of(int seed, double share, string kind = "trained")
        {
            var items = Enumerable.Range(0, 100).Select(k => k < 100 * share ? 1.0 : 0.0).ToArray();
            var axes = new Dictionary<string, string> { ["benchmark"] = "quiz", ["policy"] = kind, ["seed"] = $"{seed}" };
            return new Measured(new RunJob($"e{seed}", "evaluate", $"evaluate/quiz/base/s{seed}", axes, [], [], null, null), "acc", new Observation { Axes = axes, Metric = "acc", Value = items.Average(), Items = items }, null, 100) { Source = ("quiz", "acc"), Scores = items };
        }

        var three = Estimates.Of([Of(1, 0.5), Of(2, 0.6), Of(3, 0.7)]).Single();
        var half = 4.302652729749464 * 0.1 / Math.Sqrt(3);
        Assert.That((three.Interval.Lower, three.Interval.Upper), Is.EqualTo((0.6 - half, 0.6 + half)).Within(1e-9));
        Assert.That(three.Method, Is.EqualTo("the wider of bootstrap over seeds and items, and t over seeds"));
        Assert.That(Estimate.AboutOneTraining([three]), Is.Empty);
        Assert.That(Estimate.AboutOneTraining(Estimates.Of([Of(1, 0.4)])), Does.StartWith("Of a policy with one seed"));
        Assert.That(Estimate.AboutOneTraining(Estimates.Of([Of(1, 0.4, "untouched")])), Is.Empty, "nothing was trained");
    }

    // Rows all and base ask for x alike, all for y, too; z's evaluation is planned and not finished.
    [Test]
    public void Claims_count_a_job_of_two_rows_once_and_wait_for_what_is_planned()
    {
        JsonObject Axes(string row, string data) => new() { ["model"] = "m", ["dataset"] = data, ["method"] = "sft", ["seed"] = "1", ["row"] = row, ["policy"] = "trained", ["benchmark"] = "quiz" };
        JsonObject Planned(string row, string data) => new() { ["id"] = data, ["kind"] = "evaluate", ["label"] = $"evaluate/quiz/{row}/m/{data}/sft/s1", ["axes"] = Axes(row, data), ["depends_on"] = new JsonArray() };
        var x = Planned("all", "x");
        x["places"] = new JsonArray(new JsonObject { ["label"] = (string)x["label"]!, ["axes"] = Axes("all", "x") }, new JsonObject { ["label"] = "evaluate/quiz/base/m/x/sft/s1", ["axes"] = Axes("base", "x") });
        File.WriteAllText(Path.Combine(folder, "plan.json"), new JsonObject { ["name"] = "rows", ["jobs"] = new JsonArray(x, Planned("all", "y"), Planned("all", "z")) }.ToJsonString());
        foreach (var (data, value) in (ReadOnlySpan<(string, double)>)[("x", 0.8), ("y", 0.3)])
        {
            var job = Directory.CreateDirectory(Path.Combine(folder, "jobs", data)).FullName;
            File.WriteAllText(Path.Combine(job, "result.json"), """{"outcome": {"benchmark": "quiz"}}""");
            File.WriteAllText(Path.Combine(job, "results.json"), new JsonObject { ["results"] = new JsonObject { ["quiz"] = new JsonObject { ["acc,none"] = value } } }.ToJsonString());
        }

        var claims = ReportModel.Of(RunData.Read(new RunFolder(folder)), """
            claims:
              - { id: ONCE, says: s., metric: quiz, contrast: [{ plus: { dataset: [x, y] } }] }
              - { id: ROWS, says: s., metric: quiz, each: row, contrast: [{ plus: { dataset: [x, y] } }] }
              - { id: WAITS, says: s., metric: quiz, contrast: [{ plus: { method: sft } }] }

            """, "mine").Claims;
        Assert.That(claims.Select(c => c.Estimate), Is.EqualTo(new[] { 0.55, 0.675, 0.55 }).Within(1e-12));
        Assert.That(claims[0].Reason, Does.Not.Contain("not finished"));
        Assert.That(claims[2].Reason, Is.EqualTo("not finished: quiz of all/m/z/sft; finish the run"));
    }

    private IReadOnlyList<Measured> Read()
    {
        File.WriteAllText(Path.Combine(Job, "result.json"), """{"outcome": {}}""");
        var planned = new JsonObject { ["id"] = "e1", ["kind"] = "evaluate", ["label"] = "evaluate/pairs/base", ["axes"] = new JsonObject { ["benchmark"] = "pairs" }, ["depends_on"] = new JsonArray() };
        File.WriteAllText(Path.Combine(folder, "plan.json"), new JsonObject { ["name"] = "one", ["jobs"] = new JsonArray(planned) }.ToJsonString());
        return RunData.Read(new RunFolder(folder)).Measured;
    }
}
