// What a report makes of a plan: the names of policies, the places of a job, which numbers are compared, and files that are damaged.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Host.CommandLine;
using PeftAlign.Host.Reports;
using PeftAlign.Host.Running;

namespace PeftAlign.Host.Tests;

public sealed class ReportPlanTests
{
    private readonly JsonArray jobs = [];
    private RunFolder run = new("");

    [SetUp]
    public void Make()
    {
        run = new RunFolder(Directory.CreateTempSubdirectory("peftalign-plan-").FullName);
        jobs.Clear();
    }

    [TearDown]
    public void Delete() => Directory.Delete(run.Path, recursive: true);

    private static JsonObject Axes(params (string Name, string Value)[] axes) => new(axes.Select(axis => KeyValuePair.Create(axis.Name, (JsonNode?)axis.Value)));

    private string Add(string label, JsonObject axes, double? score = null, JsonArray? places = null)
    {
        var id = $"{jobs.Count:x32}";
        jobs.Add(new JsonObject { ["id"] = id, ["kind"] = label.Split('/')[0], ["label"] = label, ["axes"] = axes, ["depends_on"] = new JsonArray(), ["places"] = places });
        RunFolder.Write(run.Plan, new JsonObject { ["name"] = "plan", ["jobs"] = jobs.DeepClone() }.ToJsonString());
        if (score is not { } value) return id;
        var folder = run.Job(id);
        RunFolder.Write(folder.Result, """{"outcome": {"benchmark": "pref"}}""");
        RunFolder.Write(folder.File("results.json"), new JsonObject { ["results"] = new JsonObject { ["pref"] = new JsonObject { ["acc,none"] = value } }, ["n-samples"] = new JsonObject { ["pref"] = new JsonObject { ["effective"] = 3 } } }.ToJsonString());
        return id;
    }

    [TestCase("evaluate/pref/tiny/helpful/s1/s2", "s1", "", "", "tiny/helpful/s1/s2", TestName = "a method's name looks like another seed")]
    [TestCase("evaluate/pref/tiny/helpful/s1/s1", "s1", "", "", "tiny/helpful/s1", TestName = "a method's name looks like its seed")]
    [TestCase("evaluate/pref/tiny/helpful/s1/s1@step:4/good", "s1", "step:4", "good", "tiny/helpful/s1@step:4/good", TestName = "point and control stay")]
    [TestCase("evaluate/pref/r#1/tiny/helpful/coh/s1", "s1", "", "", "r#1/tiny/helpful/coh", TestName = "a row's name holds a mark")]
    [TestCase("evaluate/pref/tiny/a/sft@step:2/b/dpo/s1@step:8#0123ab", "s1", "step:8", "", "tiny/a/sft@step:2/b/dpo@step:8", TestName = "only the last point is the policy's")]
    public void Policies_are_named_by_the_plan(string label, string seed, string checkpoint, string control, string expected)
    {
        var axes = Axes([("benchmark", "pref"), ("seed", seed[1..]), .. checkpoint.Length > 0 ? [("checkpoint", checkpoint)] : ((string, string)[])[], .. control.Length > 0 ? [("control", control)] : ((string, string)[])[]]);
        Add(label, axes);
        var job = RunData.Read(run).Jobs.Single();
        Assert.That((job.Policy, job.Configuration), Is.EqualTo((expected, checkpoint.Length > 0 ? expected.Replace("@" + checkpoint, "", StringComparison.Ordinal) : expected)));
    }

    // Method and adapter divide the policies alike; the data explain the rest, and what overlaps where a cell was not trained is said.
    [TestCase(true)]
    [TestCase(false)]
    public void Factors_that_change_together_are_one_and_shares_add_up(bool whole)
    {
        foreach (var (method, adapter, effect) in ((string, string, double)[])[("sft", "a", 0), ("dpo", "b", 0.4)])
            foreach (var (dataset, more) in ((string, double)[])[("x", 0), ("y", 0.2)])
                foreach (var seed in (string[])["1", "2", "3"])
                    if (whole || method == "sft" || dataset == "y" || seed == "1")
                        Add($"evaluate/pref/m/{dataset}/{method}/s{seed}", Axes(("benchmark", "pref"), ("policy", "trained"), ("model", "m"), ("dataset", dataset), ("method", method), ("adapter", adapter), ("seed", seed)), 0.1 + effect + more + (seed == "1" ? 0.01 : 0));
        var model = ReportModel.Of(RunData.Read(run), null, "");
        var shares = model.FactorRows.Single().Shares.ToDictionary(s => s.Factor, s => s.Share);
        Assert.That(shares.Keys, Is.EqualTo(whole ? (string[])["dataset", "method = adapter", "Residual"] : ["dataset", "method = adapter", "shared by several factors", "Residual"]));
        Assert.That(shares["method = adapter"], Is.GreaterThan(0.5));
        Assert.That(shares.Values.Sum(), Is.EqualTo(1).Within(1e-9));
        var known = JsonReport.Of(model)["factors"]!.AsArray().Single()!["shares"]!.AsObject().Select(s => s.Key);
        Assert.That(known, Is.EqualTo(shares.Keys));
        Assert.That(MarkdownReport.Render(model), Does.Contain("method = adapter "));
        Assert.That(HtmlReport.Render(model), Does.Contain(">method = adapter<"));
    }

    [Test]
    public void Names_keep_their_column_in_Markdown_whatever_they_hold()
    {
        var id = Add("evaluate/pref/tiny", Axes(("benchmark", "pref"), ("policy", "untouched")), 0.5);
        RunFolder.Write(run.Job(id).File("results.json"), """{"results":{"pref":{"acc,a|<b>":0.5}},"configs":{"pref":{"annotator":"judge <x>|y"}},"n-samples":{"pref":{"effective":3}}}""");
        RunFolder.Write(run.Plan, new JsonObject { ["name"] = "one <two>", ["jobs"] = jobs.DeepClone() }.ToJsonString());
        var lines = MarkdownReport.Render(ReportModel.Of(RunData.Read(run), null, "")).Split('\n');
        Assert.That(lines[0], Is.EqualTo("# one &lt;two>"));
        Assert.That(lines, Does.Contain(@"| policy | seeds | pref acc,a\|&lt;b> (judged by judge &lt;x>\|y; n = 3) |").And.Contain("| tiny | 1 | 0.500 |"));
    }

    [Test]
    public void A_benchmarks_name_may_hold_a_stroke_in_older_plans()
    {
        Add("evaluate/pref/help/tiny/helpful/dpo/s1", Axes(("benchmark", "pref/help"), ("seed", "1")));
        Assert.That(RunData.Read(run).Jobs.Single().Policy, Is.EqualTo("tiny/helpful/dpo"));
    }

    [Test]
    public void A_job_has_a_number_at_each_of_its_places()
    {
        JsonObject At(string row, string point) => Axes([("benchmark", "pref"), ("policy", "trained"), ("seed", "1"), .. row.Length > 0 ? [("row", row)] : ((string, string)[])[], .. point.Length > 0 ? [("checkpoint", point)] : ((string, string)[])[]]);
        JsonObject Place(string label, JsonObject axes) => new() { ["label"] = label, ["axes"] = axes };
        Add("evaluate/pref/again/dpo/s1", At("again", ""), 0.5, new JsonArray(Place("evaluate/pref/again/dpo/s1", At("again", "")), Place("evaluate/pref/again/dpo/s1@step:4", At("again", "step:4")), Place("evaluate/pref/dpo/s1", At("", ""))));
        var data = RunData.Read(run);
        Assert.That(data.Jobs, Has.Count.EqualTo(1));
        Assert.That(data.Measured.Select(m => m.Job.Policy), Is.EqualTo(new[] { "again/dpo", "again/dpo@step:4", "dpo" }));
        Assert.That(data.Observations.Select(o => (o.Value, o.Axes.GetValueOrDefault("row", ""), o.Axes.GetValueOrDefault("checkpoint", ""))), Is.EqualTo(new[] { (0.5, "again", ""), (0.5, "again", "step:4"), (0.5, "", "") }));
    }

    [TestCase("", 0.4, 0.6)]
    [TestCase("step:2", 0.1, 0.3)]
    public void A_merges_parents_are_told_by_seed_and_point(string point, double first, double second)
    {
        var parents = new JsonArray();
        foreach (var (seed, end) in ((string, double)[])[("1", 0.4), ("2", 0.6)])
        {
            var train = Add($"train/tiny/dpo/s{seed}", Axes(("seed", seed), ("policy", "trained")));
            Add($"evaluate/pref/tiny/dpo/s{seed}", Axes(("benchmark", "pref"), ("seed", seed), ("policy", "trained")), end);
            Add($"evaluate/pref/tiny/dpo/s{seed}@step:2", Axes(("benchmark", "pref"), ("seed", seed), ("policy", "trained"), ("checkpoint", "step:2")), end - 0.3);
            parents.Add(new JsonObject { ["weights"] = point.Length > 0 ? new JsonObject { ["job"] = train, ["checkpoint"] = point } : new JsonObject { ["job"] = train } });
        }
        var merge = Add("merge/soup/tiny", Axes(("policy", "merged"), ("merge", "soup")));
        RunFolder.Write(run.Job(merge).Spec, new JsonObject { ["id"] = merge, ["kind"] = "merge", ["label"] = "m", ["options"] = new JsonObject { ["parents"] = parents }, ["root"] = run.Path, ["threads"] = 1, ["plugins"] = new JsonArray() }.ToJsonString());
        Add("evaluate/pref/soup/tiny", Axes(("benchmark", "pref"), ("policy", "merged"), ("merge", "soup")), 0.5);
        var row = ReportModel.Of(RunData.Read(run), null, "").Merges.Single();
        var mark = point.Length > 0 ? "@" + point : "";
        Assert.That(row.Parents.Select(p => p.Policy), Is.EqualTo(new[] { $"tiny/dpo{mark}/s1", $"tiny/dpo{mark}/s2" }));
        Assert.That(row.Parents.Select(p => p.Value), Is.EqualTo(new[] { first, second }).Within(1e-12));
        Assert.That(row.Value - row.AgainstBest, Is.EqualTo(second).Within(1e-12));
    }

    [TestCase("evaluate/pref/soup/tiny/dpo/step:2/s1", "step:2", "soup/tiny/dpo@step:2", "soup/tiny/dpo")]
    [TestCase("evaluate/pref/soup/tiny/dpo/beta=0.1;step:2/s1", "step:2", "soup/tiny/dpo/beta=0.1@step:2", "soup/tiny/dpo/beta=0.1")]
    [TestCase("evaluate/pref/soup/tiny/dpo/step:4/s1@step:4", "step:4", "soup/tiny/dpo@step:4", "soup/tiny/dpo")]
    [TestCase("evaluate/pref/soup/tiny/dpo/step:4/s1", "", "soup/tiny/dpo/step:4", "soup/tiny/dpo/step:4")]
    public void Merges_of_checkpoints_are_named_as_checkpoints_are(string label, string checkpoint, string policy, string configuration)
    {
        Add(label, Axes([("benchmark", "pref"), ("seed", "1"), ("policy", "merged"), ("merge", "soup"), .. checkpoint.Length > 0 ? [("checkpoint", checkpoint)] : ((string, string)[])[]]));
        var job = RunData.Read(run).Jobs.Single();
        Assert.That((job.Policy, job.Configuration), Is.EqualTo((policy, configuration)));
    }

    // The parents' end is called by its step in the evaluations (asked) or in the merge (point), or in both.
    [TestCase("", "step:4")]
    [TestCase("step:4", "")]
    [TestCase("step:4", "step:4")]
    [TestCase("step:2", "step:2")]
    public void A_merge_finds_its_parents_at_their_last_step(string point, string asked)
    {
        var parents = new JsonArray();
        var mark = asked.Length > 0 ? "@" + asked : "";
        foreach (var (dataset, value) in ((string, double)[])[("a", 0.4), ("b", 0.6)])
        {
            var train = Add($"train/{dataset}/sft", Axes(("dataset", dataset), ("policy", "trained")));
            RunFolder.Write(run.Job(train).Result, """{"outcome": {"steps": 4}}""");
            Add($"evaluate/pref/{dataset}/sft{mark}", Axes([("benchmark", "pref"), ("dataset", dataset), ("policy", "trained"), .. asked.Length > 0 ? [("checkpoint", asked)] : ((string, string)[])[]]), value);
            Add($"evaluate/pref/{dataset}/sft@step:1", Axes(("benchmark", "pref"), ("dataset", dataset), ("policy", "trained"), ("checkpoint", "step:1")), 0.1);
            parents.Add(new JsonObject { ["weights"] = point.Length > 0 ? new JsonObject { ["job"] = train, ["checkpoint"] = point } : new JsonObject { ["job"] = train } });
        }
        var step = point == "step:2" ? "step:2" : "step:4";
        var axes = Axes([("policy", "merged"), ("merge", "soup"), .. point == "step:2" ? [("checkpoint", point)] : ((string, string)[])[]]);
        var merge = Add($"merge/soup/sft/{step}", axes.DeepClone().AsObject());
        axes["benchmark"] = "pref";
        RunFolder.Write(run.Job(merge).Spec, new JsonObject { ["id"] = merge, ["kind"] = "merge", ["label"] = "m", ["options"] = new JsonObject { ["parents"] = parents }, ["root"] = run.Path, ["threads"] = 1, ["plugins"] = new JsonArray() }.ToJsonString());
        Add($"evaluate/pref/soup/sft/{step}", axes, 0.7);
        var row = ReportModel.Of(RunData.Read(run), null, "").Merges.Single();
        Assert.That(row.Merge, Is.EqualTo(point == "step:2" ? "soup/sft@step:2" : "soup/sft/step:4"));
        Assert.That(row.Parents, Is.EqualTo(new[] { ($"a/sft{mark}", 0.4), ($"b/sft{mark}", 0.6) }));
        Assert.That((row.AgainstMean, row.AgainstBest), Is.EqualTo((0.2, 0.1)).Using<(double, double)>((a, b) => Math.Abs(a.Item1 - b.Item1) + Math.Abs(a.Item2 - b.Item2) < 1e-12));
    }

    private IReadOnlyList<FactorRow> Factors() => ReportModel.Of(RunData.Read(run), null, "").FactorRows;

    [Test]
    public void Scores_that_differ_by_rounding_alone_are_the_same()
    {
        foreach (var (method, dataset, k) in ((string, string, int)[])[("a", "x", 0), ("a", "y", 1), ("b", "x", 2), ("b", "y", 3), ("a", "x", 4), ("b", "y", 5)])
            Add($"evaluate/pref/m/{dataset}/{method}/s{k}", Axes(("benchmark", "pref"), ("policy", "trained"), ("seed", $"{k}"), ("method", method), ("dataset", dataset)), 0.1 + 0.2 + (k % 2 == 0 ? 0 : -5e-17));
        Assert.That(Factors().Single().Why, Is.EqualTo("all policies score the same"));
    }

    [Test]
    public void Controls_and_variants_of_a_benchmark_have_factors_of_their_own()
    {
        foreach (var (control, k) in ((string, int)[])[("good", 0), ("bad", 1)])
            foreach (var (method, seed) in ((string, int)[])[("a", 1), ("a", 2), ("b", 1), ("b", 2)])
                Add($"evaluate/pref[t={k}]/m/{method}/s{seed}/{control}", Axes(("benchmark", "pref"), ("benchmark_variant", $"t={k}"), ("policy", "trained"), ("seed", $"{seed}"), ("method", method), ("control", control)), (method == "a" ? 0.25 : 0.75) + (0.01 * seed) - (0.2 * k));
        Assert.That(Factors().Select(f => f.Column), Is.EqualTo(new[] { "pref t=0 acc (good)", "pref t=1 acc (bad)" }));
        Assert.That(Factors().Select(f => f.Shares.Single(s => s.Factor == "method").Share), Is.All.GreaterThan(0.99));
    }

    [TestCase("plan.json", """{"name": "n", "jobs": [{"id": """)]
    [TestCase("plan.json", """{"jobs": 7}""")]
    [TestCase("results.json", """{"results": {"pref": {"acc,none": 0.""")]
    [TestCase("results.json", """{"results": {"pref": {"acc,none": 0.5}}, "n-samples": {"pref": {"effective": "many"}}}""")]
    [TestCase("samples_pref.jsonl", "{\"acc\": 1}\n{\"acc\": ")]
    [TestCase("samples_pref.jsonl", "3\n")]
    public void A_damaged_file_is_named(string name, string text)
    {
        var id = Add("evaluate/pref/tiny", Axes(("benchmark", "pref"), ("policy", "untouched")), 1);
        var file = name == "plan.json" ? run.Plan : run.Job(id).File(name);
        RunFolder.Write(file, text);
        Refused(file, name == "plan.json" ? "run the manifest again" : "delete the folder");
    }

    [Test]
    public void A_merges_damaged_job_is_named()
    {
        var merge = Add("merge/soup/tiny", Axes(("policy", "merged"), ("merge", "soup")));
        Add("evaluate/pref/soup/tiny", Axes(("benchmark", "pref"), ("policy", "merged"), ("merge", "soup")), 1);
        RunFolder.Write(run.Job(merge).Spec, "{\"id\": ");
        Refused(run.Job(merge).Spec, "delete the folder");
    }

    private void Refused(string file, string next)
    {
        using var results = new StringWriter();
        using var remarks = new StringWriter();
        var code = new Dispatcher(Catalogue.Commands, results, remarks).RunAsync(["report", run.Path, "--format", "json"]).GetAwaiter().GetResult();
        Assert.That((code, remarks.ToString().Split('\n').Length), Is.EqualTo((2, 2)), remarks.ToString());
        Assert.That(remarks.ToString(), Does.Contain(file).And.Contain("is damaged").And.Contain(next));
    }

    [Test]
    public void A_last_row_that_was_cut_short_is_left_out_and_no_other()
    {
        var job = RunData.Read(Trained("{\"step\":1,\"loss\":2.0}\n{\"step\":2,\"lo")).Jobs.Single();
        Assert.That(RunData.Read(run).Curve(job, "loss"), Is.EqualTo(new[] { (1.0, 2.0) }));
        Trained("{\"step\":1,\"lo\n{\"step\":2,\"loss\":1.0}");
        Assert.That(() => RunData.Read(run).Curve(job, "loss"), Throws.InstanceOf<UserErrorException>().With.Message.Contains("metrics.jsonl, line 1: is damaged"));
    }

    private RunFolder Trained(string rows)
    {
        jobs.Clear();
        RunFolder.Write(run.Job(Add("train/tiny/a/sft/s1", Axes(("seed", "1")))).File("metrics.jsonl"), rows);
        return run;
    }
}
