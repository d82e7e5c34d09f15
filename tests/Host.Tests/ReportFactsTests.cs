// What a reviewer asks of a report: intervals within what a number can be, how many items and seeds each number has, factors that are told
// from noise, and what another needs to repeat the run.

using System.Text.Json.Nodes;
using PeftAlign.Core.Claims;
using PeftAlign.Core.Statistics;
using PeftAlign.Host.Evaluation;
using PeftAlign.Host.Reports;
using PeftAlign.Host.Running;

namespace PeftAlign.Host.Tests;

public sealed class ReportFactsTests
{
    private readonly JsonArray jobs = [];
    private RunFolder run = new("");

    [SetUp]
    public void Make()
    {
        run = new RunFolder(Directory.CreateTempSubdirectory("peftalign-facts-").FullName);
        jobs.Clear();
    }

    [TearDown]
    public void Delete() => Directory.Delete(run.Path, recursive: true);

    private static Measured Of(int seed, string metric, double value, double[] items, int count = 100, int cut = 0, string policy = "base/x/sft")
    {
        var axes = new Dictionary<string, string> { ["benchmark"] = "quiz", ["policy"] = "trained", ["seed"] = $"{seed}" };
        return new Measured(new RunJob($"e{seed}", "evaluate", $"evaluate/quiz/{policy}/s{seed}", axes, [], [], null, null), metric, new Observation { Axes = axes, Metric = metric, Value = value, Items = items, HigherIsBetter = true, IsFirst = true }, null, count) { Source = ("quiz", metric), Scores = items, Cut = cut };
    }

    private static double[] Answers(int right) => [.. Enumerable.Range(0, 100).Select(k => k < right ? 1.0 : 0.0)];

    // Student's t over 0.99, 0.9 and 1 ends at 1.1.
    [TestCase("acc", 0.99, 0.9, 1.0, 1.0)]
    [TestCase("win_rate", 99, 90, 100, 100)]
    [TestCase("length_controlled_winrate_minimal", 99, 90, 100, 100)]
    [TestCase("reward", 0.99, 0.9, 1.0, 1.1002)] // has no bound
    [TestCase("acc", 99, 90, 100, 110.02)] // a third party's percentages
    public void An_interval_ends_where_the_numbers_do(string metric, double first, double second, double third, double upper)
    {
        var estimate = Estimates.Of([Of(1, metric, first, []), Of(2, metric, second, []), Of(3, metric, third, [])]).Single();
        Assert.That((estimate.Interval.Upper, estimate.Method), Is.EqualTo((upper, "t over seeds")).Within(0.01));
        Assert.That(estimate.Interval.Lower, Is.LessThan(0.9 * first));
    }

    [Test]
    public void A_count_is_not_below_zero_and_no_mean()
    {
        var wins = Estimates.Of([Of(1, "n_wins_base", 0, []), Of(2, "n_wins_base", 0, []), Of(3, "n_wins_base", 3, [])]).Single();
        Assert.That(wins.Interval.Lower, Is.Zero);
        // None failed: the count is by chance the mean of the items' zeros, and had their interval.
        var items = Enumerable.Range(0, 12).Select(k => new EvaluatedItem(new Abstractions.EvalItem($"{k}", []), [], [], [new Abstractions.ItemScore($"{k}", new Dictionary<string, double> { ["failed"] = 0 })])).ToList();
        Evaluate("base/x/sft", 1, items, new Abstractions.MetricResult("failed", 0, null, 12, HigherIsBetter: false));
        Assert.That(Estimates.Of(RunData.Read(run).Measured).Single().Interval.Lower, Is.NaN);
    }

    // A report of a run that has just begun is no table without a row.
    [TestCase(true)]
    [TestCase(false)]
    public void A_report_without_results_says_so(bool planned)
    {
        Plan("train/base/x/sft/s1", new JsonObject { ["seed"] = "1" });
        if (planned) Plan("evaluate/pairs/base/x/sft/s1", new JsonObject { ["benchmark"] = "pairs", ["policy"] = "trained", ["seed"] = "1" });
        var said = planned ? "No results yet, those of checkpoints aside: 0 of 1 evaluations are finished." : "No results: the plan has no evaluation.";
        foreach (var text in (string[])[HtmlReport.Render(Model()), MarkdownReport.Render(Model())]) Assert.That(text, Does.Contain(said).And.Not.Contain("| policy |"));
    }

    // A plan that asks nothing but checkpoints has no results to wait for.
    [Test]
    public void A_report_on_checkpoints_alone_awaits_no_results()
    {
        foreach (var step in (int[])[2, 4]) Plan($"evaluate/pairs/base/x/sft/s1@step:{step}", new JsonObject { ["benchmark"] = "pairs", ["policy"] = "trained", ["seed"] = "1", ["checkpoint"] = $"step:{step}" });
        foreach (var text in (string[])[HtmlReport.Render(Model()), MarkdownReport.Render(Model())])
            Assert.That(text, Does.Contain("No results of final policies: the plan evaluates only checkpoints (0 of 2 evaluations are finished).").And.Not.Contain("yet"));
    }

    [Test]
    public void A_report_on_finished_evaluations_without_a_number_awaits_none()
    {
        Evaluate("base/x/sft", 1, [], new Abstractions.MetricResult("share", double.NaN, null, 0, HigherIsBetter: true));
        foreach (var text in (string[])[HtmlReport.Render(Model()), MarkdownReport.Render(Model())])
            Assert.That(text, Does.Contain("No results: all evaluations are finished, and none of their metrics is a number.").And.Not.Contain("yet"));
    }

    // report --out /dev/null put a file in the place of the machine's device.
    [Test]
    public void A_pipe_is_written_to_and_stays_one()
    {
        var pipe = Path.Combine(run.Path, "pipe");
        using (var made = System.Diagnostics.Process.Start("mkfifo", [pipe])) made.WaitForExit();
        using var reader = new FileStream(pipe, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite); // for writing too, so that opening waits for nobody
        RunFolder.Write(pipe, "the report");
        Assert.That(() => Models.Checkpoints.RegularFile.Length(pipe), Throws.TypeOf<IOException>().With.Message.Contains("named pipe"));
        var read = new byte[100];
        Assert.That(System.Text.Encoding.UTF8.GetString(read, 0, reader.Read(read)), Is.EqualTo("the report"));
        Assert.That(Directory.GetFiles(run.Path), Is.EqualTo(new[] { pipe }));
    }

    // Three seeds that answer everything right know no less than one.
    [TestCase(100)]
    [TestCase(0)]
    public void Seeds_that_all_answer_alike_have_the_items_interval(int right)
    {
        var estimate = Estimates.Of([.. new[] { 1, 2, 3 }.Select(seed => Of(seed, "acc", right / 100.0, Answers(right)))]).Single();
        var wilson = Proportions.Wilson95(right, 100);
        Assert.That((estimate.Interval.Lower, estimate.Interval.Upper), Is.EqualTo((wilson.Lower, wilson.Upper)).Within(1e-12));
        Assert.That(estimate.Method, Is.EqualTo("Wilson over the items, where all seeds answer alike"));
    }

    [Test]
    public void A_column_says_how_many_items_its_policies_have()
    {
        var estimates = Estimates.Of([Of(1, "win_rate", 50, [], 805), Of(2, "win_rate", 60, [], 780, cut: 3), Of(1, "win_rate", 40, [], 805, policy: "base/y/sft")]);
        Assert.That(estimates.Select(e => e.Items), Is.EqualTo(new[] { "780 to 805", "805" }));
        Assert.That(Estimate.Circumstances(estimates), Is.EqualTo("n = 780 to 805; 0 to 3 of them cut to fit the context"));
        var model = new ReportModel(new RunData("n", run, [], []), estimates, [], "");
        Assert.That(HtmlReport.Render(model), Does.Contain("<small>n = 780 to 805</small>").And.Contain("<small>n = 805</small>").And.Contain("<small>1 seed</small>").Or.Contain("<small>2 seeds</small>"));
        var rows = MarkdownReport.Render(model).Split('\n');
        Assert.That(rows, Has.Some.StartsWith("| base/x/sft | 2 | 55.00").And.Some.StartsWith("| base/y/sft | 1 | 40.00").And.Some.EqualTo("Intervals, t over seeds: quiz win_rate."));
    }

    // Two rows ask for one cell with other settings: what they differ in is no noise of seeds.
    [Test]
    public void Rows_of_one_cell_are_a_factor()
    {
        foreach (var seed in (int[])[1, 2, 3])
            foreach (var dataset in (string[])["x", "y"])
            {
                Score("", dataset, "sft", seed, 0.2 + (0.001 * seed));
                if (dataset == "y") Score("hot", dataset, "sft", seed, 0.8 + (0.001 * seed));
            }
        var row = Model().FactorRows.Single();
        Assert.That(row.Policies, Is.EqualTo(9));
        Assert.That(row.Shares.Single(s => s.Factor == "row").Share, Is.GreaterThan(0.5));
        Assert.That(row.Shares.Single(s => s.Factor == "Residual").Share, Is.LessThan(0.01));
        var json = JsonReport.Of(Model())["factors"]![0]!;
        Assert.That((double)json["p"]!["row"]!, Is.LessThan(0.001));
        Assert.That((int)json["policies"]!, Is.EqualTo(9));
    }

    // Rows that are only names of parts of the matrix divide nothing.
    [Test]
    public void Rows_with_cells_of_their_own_are_no_factor()
    {
        foreach (var seed in (int[])[1, 2, 3])
        {
            Score("one", "x", "sft", seed, 0.2 + (0.01 * seed));
            Score("two", "y", "sft", seed, 0.4 + (0.02 * seed));
        }
        Assert.That(Model().FactorRows.Single().Shares.Select(s => s.Factor), Is.EqualTo(new[] { "dataset", "Residual" }));
    }

    [Test]
    public void Where_the_stage_before_ended_is_a_factor()
    {
        foreach (var seed in (int[])[1, 2, 3])
            foreach (var (mark, value) in ((string, double)[])[("@epoch:3", 0.2), ("@epoch:6", 0.7)])
                Score("", "x", "dpo", seed, value + (0.01 * seed), $"m/x/sft{mark}/x/dpo");
        Assert.That(Model().FactorRows.Single().Shares.Select(s => s.Factor), Is.EqualTo(new[] { "hand-over", "Residual" }));
    }

    // All of one model's policies have a data set of their own: nothing of the model can be told, which is not that it does not matter.
    [Test]
    public void A_factor_within_another_has_no_share()
    {
        foreach (var seed in (int[])[1, 2, 3])
        {
            Score("", "corpus", "sft", seed, 0.2 + (0.01 * seed), "tiny/corpus/sft", "tiny");
            Score("", "x", "sft", seed, 0.4 + (0.01 * seed));
            Score("", "y", "sft", seed, 0.9 + (0.01 * seed));
        }
        var row = Model().FactorRows.Single();
        Assert.That(row.Shares.Select(s => s.Factor), Is.EqualTo(new[] { "dataset", "shared by several factors", "Residual" }));
        Assert.That(row.Note, Is.EqualTo("model cannot be told from the other factors"));
        Assert.That((string?)JsonReport.Of(Model())["factors"]![0]!["inseparable"]![0], Is.EqualTo("model"));
        Assert.That(MarkdownReport.Render(Model()), Does.Contain("; model cannot be told from the other factors |"));
        Assert.That(HtmlReport.Render(Model()), Does.Contain("model cannot be told from the other factors"));
    }

    [Test]
    public void Another_can_repeat_the_run()
    {
        foreach (var (method, rate) in ((string, double)[])[("sft", 0.001), ("dpo", 0.0005)])
            foreach (var seed in (int[])[1, 2])
            {
                var folder = run.Job(Plan($"train/base/x/{method}/s{seed}", new JsonObject { ["policy"] = "trained", ["seed"] = $"{seed}" }));
                RunFolder.Write(folder.Spec, $$$$"""{"options": {"kind": "train", "engine": 3, "seed": {{{{seed}}}}, "policy": {"weights": "models/base"}, "method": {"name": "methods.{{{{method}}}}/{{{{method}}}}", "options": {"beta": 0.1}}, "adapter": {"name": "peft.lora/lora", "options": {"rank": 8, "targets": ["q_proj", "v_proj"], "rank_pattern": {}}}, "training": {"learning_rate": {{{{rate.ToString(System.Globalization.CultureInfo.InvariantCulture)}}}}, "batch_size": 8}}, "inputs": [{"path": "/data/x.jsonl", "sha256": "abc"}], "made_with": {"libtorch": "2.13.0", "peftalign": "f00{{{{seed}}}}"}}""");
                RunFolder.Write(folder.Result, """{"outcome": {"steps": 10, "trainable_parameters": 4096, "final_loss": 0.5}}""");
                RunFolder.Write(folder.File("ledger.json"), $$$"""{"rows": 120, "rows_truncated": {{{seed}}}, "tokens_trained": 999}""");
                RunFolder.Write(folder.Timing, """{"started":"2026-11-22T20:00:00Z","seconds":1.5,"peak_memory_bytes":3145728,"threads":2,"machine":"vm","processor":"Z","device":"cpu"}""");
            }
        // A benchmark's own seed draws its answers, and what is no computation has no device.
        var asked = run.Job(Plan("evaluate/quiz/base", new JsonObject { ["benchmark"] = "quiz", ["policy"] = "untouched" }));
        RunFolder.Write(asked.Spec, """{"options": {"kind": "evaluate", "engine": 7, "policy": {"weights": "models/base"}, "benchmark": {"name": "eval/quiz", "options": {"seed": 3, "judge": {"model": {"weights": {"job": "00000000000000000000000000000000"}}}}, "result_version": 1}}}""");
        RunFolder.Write(asked.Result, """{"outcome": {}}""");
        RunFolder.Write(asked.Timing, """{"started":"2026-11-22T21:00:00Z","seconds":1.5,"peak_memory_bytes":1,"threads":2,"machine":"vm","processor":"Z","device":null}""");
        foreach (var (seed, from) in ((int, int)[])[(1, 0), (2, 1)]) // each starts from the SFT of its own seed
        {
            var chained = run.Job(Plan($"select/base/x/sft/x/dpo/s{seed}", new JsonObject { ["policy"] = "trained", ["seed"] = $"{seed}" }));
            RunFolder.Write(chained.Spec, $$$$"""{"options": {"from": {"weights": {"job": "{{{{from:x32}}}}"}}, "over": {"job": "{{{{from:x32}}}}", "checkpoint": "epoch:1"}, "seed": {{{{seed}}}}}}""");
            RunFolder.Write(chained.Result, """{"outcome": {"by": "loss", "mode": "min", "variant": "v", "tied": 1, "variants": []}}""");
        }
        var recipe = Model().Recipe;
        Assert.That(recipe.Parts[2].Rows.Select(r => (r.Name, string.Join(",", r.Seeds), r.Settings["from"], r.Settings["over"])), Is.EqualTo(new[] { ("base/x/sft/x/dpo", "1,2", "base/x/sft", "base/x/sft@epoch:1") }));
        Assert.That(recipe.Parts[1].Rows.Select(r => (r.Name, r.Seeds.Count, string.Join("; ", r.Settings.Select(s => $"{s.Key} {s.Value}")))), Is.EqualTo(new[] { ("quiz", 0, "judge.model base/x/sft/s1; name eval/quiz; seed 3") }));
        var part = recipe.Parts[0];
        Assert.That(part.Shared.Select(s => $"{s.Key} {s.Value}"), Is.EqualTo(new[] { "adapter peft.lora/lora", "adapter.rank 8", "adapter.targets q_proj, v_proj", "batch_size 8", "method.beta 0.1", "policy models/base" }));
        Assert.That(part.Rows.Select(r => (r.Name, string.Join(",", r.Seeds), string.Join("; ", r.Settings.Select(s => $"{s.Key} {s.Value}")))), Is.EqualTo(new[] { ("base/x/sft", "1,2", "learning_rate 0.001; method methods.sft/sft"), ("base/x/dpo", "1,2", "learning_rate 0.0005; method methods.dpo/dpo") }));
        Assert.That(part.Rows[0].Counts.Select(c => $"{c.Key} {c.Value}"), Is.EqualTo(new[] { "rows 120", "rows cut 1 to 2", "tokens trained an epoch 999", "trained numbers 4096", "steps 10", "last loss 0.500", "seconds 1.500", "peak MiB 3" }));
        Assert.That(recipe.Inputs, Is.EqualTo(new[] { ("/data/x.jsonl", "abc") }));
        Assert.That(recipe.Versions, Is.EqualTo(new[] { ("libtorch", "2.13.0"), ("peftalign", "f001, f002") }), "made by two versions, and both are said");
        Assert.That((recipe.Machines.Single(), recipe.Started), Is.EqualTo(("vm (Z), cpu, 2 threads", "2026-11-22T20:00:00Z")));
        foreach (var text in (string[])[HtmlReport.Render(Model()), MarkdownReport.Render(Model())])
            Assert.That(text, Does.Contain("What was run").And.Contain("adapter.rank 8").And.Contain("learning_rate 0.0005").And.Contain("1 to 2").And.Contain("/data/x.jsonl").And.Contain("f001, f002").And.Contain("vm (Z), cpu, 2 threads"));
        Assert.That((string?)JsonReport.Of(Model())["recipe"]!["parts"]![0]!["rows"]![1]!["settings"]!["learning_rate"], Is.EqualTo("0.0005"));
    }

    // The first seed's base has its own seed's number, and yet is the others' base, too.
    [Test]
    public void Seeds_that_share_a_base_are_one_row()
    {
        var start = Plan("train/tiny/x/pretrain/s1", new JsonObject { ["policy"] = "trained", ["seed"] = "1" });
        RunFolder.Write(run.Job(start).Spec, """{"options": {"seed": 1, "policy": {"weights": "models/tiny"}}}""");
        RunFolder.Write(run.Job(start).Result, """{"outcome": {"steps": 1}}""");
        foreach (var seed in (int[])[1, 2, 3])
        {
            var folder = run.Job(Plan($"train/base/x/sft/s{seed}", new JsonObject { ["policy"] = "trained", ["seed"] = $"{seed}" }, start));
            RunFolder.Write(folder.Spec, $$$$$"""{"options": {"seed": {{{{{seed}}}}}, "policy": {"weights": {"job": "{{{{{start}}}}}"}}}}""");
            RunFolder.Write(folder.Result, """{"outcome": {"steps": 1}}""");
        }
        Assert.That(Model().Recipe.Parts[0].Rows.Select(r => (r.Name, string.Join(",", r.Seeds), r.Settings["policy"])), Is.EqualTo(new[] { ("tiny/x/pretrain", "1", "models/tiny"), ("base/x/sft", "1,2,3", "tiny/x/pretrain/s1") }));
    }

    // Of three seeds one diverged: the mean is of two, and whoever reads it must know.
    [Test]
    public void A_seed_that_failed_is_told()
    {
        foreach (var seed in (int[])[1, 2]) Score("", "x", "sft", seed, 0.5 + (0.1 * seed));
        Plan("evaluate/pref/m/x/sft/s3", new JsonObject { ["benchmark"] = "pref", ["policy"] = "trained", ["model"] = "m", ["dataset"] = "x", ["method"] = "sft", ["seed"] = "3" });
        var diverged = run.Job(Plan("train/m/x/sft/s3", new JsonObject { ["policy"] = "trained", ["seed"] = "3" }));
        RunFolder.Write(diverged.Failure, """{"label":"train/m/x/sft/s3","code":2,"error":"Step 2: loss NaN.\nMore."}""");
        var model = Model();
        Assert.That((model.Estimates.Single().Seeds, model.Estimates.Single().Planned), Is.EqualTo((2, 3)));
        Assert.That(MarkdownReport.Render(model), Does.Contain("**1 job failed, and what needs them is missing: train/m/x/sft/s3: Step 2: loss NaN.**").And.Contain("| m/x/sft | 2 of 3 | 0.650"));
        Assert.That(HtmlReport.Render(model), Does.Contain("1 job failed, and what needs them is missing: train/m/x/sft/s3: Step 2: loss NaN.</p>").And.Contain("<small>2 of 3 seeds</small>"));
        var json = JsonReport.Of(model);
        Assert.That(((string?)json["failed"]![0]!["label"], (int)json["results"]![0]!["seeds_planned"]!), Is.EqualTo(("train/m/x/sft/s3", 3)));
    }

    private ReportModel Model() => ReportModel.Of(RunData.Read(run), null, "");

    private string Plan(string label, JsonObject axes, params string[] needs)
    {
        var id = $"{jobs.Count:x32}";
        jobs.Add(new JsonObject { ["id"] = id, ["kind"] = label.Split('/')[0], ["label"] = label, ["axes"] = axes, ["depends_on"] = new JsonArray([.. needs.Select(id => (JsonNode)id)]) });
        RunFolder.Write(run.Plan, new JsonObject { ["name"] = "facts", ["jobs"] = jobs.DeepClone() }.ToJsonString());
        return id;
    }

    private void Score(string row, string dataset, string method, int seed, double value, string policy = "", string model = "m")
    {
        var name = (row.Length > 0 ? row + "/" : "") + (policy.Length > 0 ? policy : $"m/{dataset}/{method}");
        var axes = new JsonObject { ["benchmark"] = "pref", ["policy"] = "trained", ["model"] = model, ["dataset"] = dataset, ["method"] = method, ["seed"] = $"{seed}" };
        if (row.Length > 0) axes["row"] = row;
        var folder = run.Job(Plan($"evaluate/pref/{name}/s{seed}", axes));
        RunFolder.Write(folder.Result, """{"outcome": {"benchmark": "pref"}}""");
        RunFolder.Write(folder.File("results.json"), new JsonObject { ["results"] = new JsonObject { ["pref"] = new JsonObject { ["acc,none"] = value } } }.ToJsonString());
    }

    private void Evaluate(string policy, int seed, IReadOnlyList<EvaluatedItem> items, Abstractions.MetricResult metric)
    {
        var folder = run.Job(Plan($"evaluate/pairs/{policy}/s{seed}", new JsonObject { ["benchmark"] = "pairs", ["policy"] = "trained", ["seed"] = $"{seed}" }));
        RunFolder.Write(folder.Result, """{"outcome": {}}""");
        ResultFiles.Write(folder.Path, [new Evaluated(new Abstractions.BenchmarkInfo("pairs", 1), items, [metric])], []);
    }
}
