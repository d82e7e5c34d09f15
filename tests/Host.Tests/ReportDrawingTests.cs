// A benchmark asked with several seeds of generation and several temperatures: a report shows each temperature once, with the mean of its
// drawings, and a curve over temperatures; seeds of training stay what intervals are made of, and claims see every drawing.

using System.Text.Json.Nodes;
using PeftAlign.Core.Statistics;
using PeftAlign.Host.Jobs;
using PeftAlign.Host.Reports;
using PeftAlign.Host.Running;

namespace PeftAlign.Host.Tests;

public sealed class ReportDrawingTests
{
    private readonly JsonArray jobs = [];
    private RunFolder run = new("");

    [SetUp]
    public void Make()
    {
        run = new RunFolder(Directory.CreateTempSubdirectory("peftalign-drawings-").FullName);
        jobs.Clear();
    }

    [TearDown]
    public void Delete() => Directory.Delete(run.Path, recursive: true);

    private void Chrf(string method, int seed, string variant, double? value, double error = 0)
    {
        var (id, label) = ($"{jobs.Count:x32}", $"evaluate/chrf[{variant}]/m/d/{method}/s{seed}");
        var axes = new JsonObject { ["benchmark"] = "chrf", ["benchmark_variant"] = variant, ["policy"] = "trained", ["model"] = "m", ["dataset"] = "d", ["method"] = method, ["seed"] = $"{seed}" };
        jobs.Add(new JsonObject { ["id"] = id, ["kind"] = "evaluate", ["label"] = label, ["axes"] = axes, ["depends_on"] = new JsonArray() });
        RunFolder.Write(run.Plan, new JsonObject { ["name"] = "drawings", ["jobs"] = jobs.DeepClone() }.ToJsonString());
        if (value is not { } number) return;
        var row = new JsonObject { ["chrf,none"] = number };
        if (error > 0) row["chrf_stderr,none"] = error;
        RunFolder.Write(run.Job(id).Result, new JsonObject { ["outcome"] = new JsonObject { ["benchmark"] = "chrf", ["results"] = row.DeepClone() } }.ToJsonString());
        RunFolder.Write(run.Job(id).File("results.json"), new JsonObject { ["results"] = new JsonObject { ["chrf"] = row } }.ToJsonString());
    }

    private ReportModel Model() => ReportModel.Of(RunData.Read(run), null, "");

    [Test]
    public void Drawings_of_a_training_are_one_number_and_no_trainings()
    {
        double[][] drawn = [[40, 42], [43, 45], [41, 43]];
        foreach (var (values, k) in drawn.Select((values, k) => (values, k)))
            foreach (var (value, draw) in values.Select((value, draw) => (value, draw)))
            {
                Chrf("sft", k + 1, $"temperature=0.7,seed={draw}", value);
                Chrf("sft", k + 1, $"seed={draw},temperature=1.5", value - 10);
            }
        var model = Model();
        Assert.That(model.Estimates.Select(e => (e.Benchmark, e.Value, e.Seeds, e.SeedsOf, e.Drawings)), Is.EqualTo(new[] { ("chrf temperature=0.7", 127.0 / 3, 3, "3", 2), ("chrf temperature=1.5", 97.0 / 3, 3, "3", 2) }));
        var interval = LocationTests.MeanInterval([41, 44, 42], 0.95);
        Assert.That((model.Estimates[0].Interval.Lower, model.Estimates[0].Interval.Upper, model.Estimates[0].Method), Is.EqualTo((interval.Lower, interval.Upper, "t over seeds")).Within(1e-9));
        Assert.That(model.Data.Measured, Has.Count.EqualTo(12), "claims see each");
        var page = HtmlReport.Render(model);
        Assert.That(page, Does.Contain("means of 2 drawings").And.Contain("Over the settings of benchmarks").And.Contain("<title>m/d/sft: 0.700, 42.33</title>").And.Contain("<title>m/d/sft: 1.500, 32.33</title>").And.Not.Contain("seed=0 chrf"));
        Assert.That(JsonReport.Of(model)["results"]!.AsArray().Select(r => ((string)r!["benchmark"]!, (int)r["drawings"]!)), Is.EqualTo(new[] { ("chrf temperature=0.7", 2), ("chrf temperature=1.5", 2) }));
        Assert.That(model.FactorRows.Select(f => f.Column), Is.EqualTo(new[] { "chrf temperature=0.7 chrf", "chrf temperature=1.5 chrf" }));
    }

    // Of one training the drawings' own errors stand for other items; a mean of them is no more exact than they are on the same items.
    [Test]
    public void One_training_has_its_drawings_error()
    {
        Chrf("sft", 1, "temperature=1,seed=0", 40, 2);
        Chrf("sft", 1, "temperature=1,seed=1", 44, 4);
        Chrf("dpo", 1, "temperature=1,seed=0", 41, 2);
        Chrf("dpo", 1, "temperature=1,seed=1", null);
        Chrf("dpo", 2, "temperature=1,seed=0", null);
        var model = Model();
        Assert.That(model.Estimates.Select(e => (e.Policy, e.Value, e.Interval.Upper, e.SeedsOf, e.Drawings)), Is.EqualTo(new[] { ("m/d/sft", 42, 42 + (1.96 * 3), "1", 2), ("m/d/dpo", 41, 41 + (1.96 * 2), "1 of 2", 1) }).Within(1e-9));
        Assert.That(HtmlReport.Render(model), Does.Contain("means of 1 to 2 drawings").And.Not.Contain("Over the settings"));
    }

    [Test]
    public void The_table_that_a_run_ends_with_shows_drawings_as_their_mean()
    {
        Chrf("sft", 1, "temperature=1,seed=0", 40, 2);
        Chrf("sft", 1, "temperature=1,seed=1", 44, 4);
        Chrf("sft", 1, "temperature=1.5", 30);
        Chrf("sft", 2, "seed=0,temperature=1", 41, 1);
        Chrf("dpo", 1, "seed=7", 50);
        Chrf("dpo", 1, "seed=7", 60); // on other data
        var lines = ReportJob.Lines(JsonReport.Of(Model())).Select(line => line.Split("  ", StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)).ToList();
        Assert.That(lines, Is.EqualTo(new string[][]
        {
            ["policy (± standard error)", "chrf[temperature=1] chrf", "chrf[temperature=1.5] chrf", "chrf"],
            ["m/d/sft/s1", "42.000 ± 3.000", "30.000"],
            ["m/d/sft/s2", "41.000 ± 1.000"],
            ["m/d/dpo/s1", "50.000"],
            ["m/d/dpo/s1 (2)", "60.000"],
        }));
    }
}
