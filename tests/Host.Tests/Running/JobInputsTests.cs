// What a job reads is compared with what the plan saw there: before it works, and before its result stands.

using System.Diagnostics;
using Microsoft.Extensions.Logging.Abstractions;
using PeftAlign.Abstractions;
using PeftAlign.Core;
using PeftAlign.Host.Jobs;
using PeftAlign.Host.Running;
using PeftAlign.Plugins;

namespace PeftAlign.Host.Tests.Running;

public sealed class JobInputsTests
{
    private RunFolder run = new("");

    [SetUp]
    public void Make() => run = new RunFolder(Directory.CreateTempSubdirectory("peftalign inputs ").FullName);

    [TearDown]
    public void Remove() => Directory.Delete(run.Path, recursive: true);

    private void Write(string name, string text) => RunFolder.Write(Path.Combine(run.Path, name), text);

    private static PlanJob Planned(string id, string[] on, params (string Place, string Path)[] inputs) => Of("train", id, on, inputs);

    private static PlanJob Of(string kind, string id, string[] on, params (string Place, string Path)[] inputs) => With("{}", kind, id, on, inputs);

    private static PlanJob With(string options, string kind, string id, string[] on, params (string Place, string Path)[] inputs) =>
        new(id, kind, id, [], new Dictionary<string, string>(), [], options, "{}", on, [.. inputs.Select(input => new PlanInput(input.Place, input.Path, "set below"))], [], "", [], "");

    // The job as its process reads it, after planning saw what is there now.
    private JobContext Begun(PlanJob job, params PlanJob[] others)
    {
        var seen = new ContentHashes(run.Hashes, run.Path) { Cancellation = default };
        PlanJob Hashed(PlanJob planned) => new(planned.Id, planned.Kind, planned.Label, planned.Labels, planned.Axes, planned.Places, planned.Options, planned.Identity, planned.DependsOn, [.. planned.Inputs.Select(input => new PlanInput(input.Place, input.Path, seen.Of(input.Path)!))], planned.Keep, planned.Until, planned.Plugins, planned.Group);
        PlanJob[] all = [.. others.Append(job).Select(Hashed)];
        new JobPreparation(run, run.Path, new Dictionary<string, string>(), 1, Inexact: false, new FileHashes(new Dictionary<string, PluginFolder>())) { Seen = seen, Jobs = all.ToDictionary(planned => planned.Id) }.Begin(all[^1]);
        var folder = run.Job(job.Id);
        return new JobContext(JobSpec.Read(folder), folder, new PluginCatalogue([], []), NullLogger.Instance, (_, _, _) => { }, default);
    }

    [Test]
    public void A_job_whose_data_changed_does_not_work()
    {
        Write("rows.jsonl", "1");
        Write("model/config.json", "{}");
        var job = Begun(Planned("a1", [], ("dataset.path", "rows.jsonl"), ("policy.weights", "model")));
        Assert.That(() => JobInputs.ThrowIfChanged(job), Throws.Nothing);
        File.SetLastWriteTimeUtc(Path.Combine(run.Path, "rows.jsonl"), DateTime.UtcNow.AddDays(-1));
        Assert.That(() => JobInputs.ThrowIfChanged(job), Throws.Nothing, "it holds the same");
        Write("model/more.json", "{}");
        Assert.That(() => JobInputs.ThrowIfChanged(job), Throws.InstanceOf<UserErrorException>().With.Message.StartsWith(Path.Combine(run.Path, "model") + ": changed since the plan was made"));
        File.Delete(Path.Combine(run.Path, "model", "more.json"));
        Write("rows.jsonl", "2");
        Assert.That(() => JobInputs.ThrowIfChanged(job), Throws.InstanceOf<UserErrorException>().With.Message.Contains("rows.jsonl: changed since"));
    }

    // A plugin that is built or installed anew while a run works.
    [Test]
    public void A_job_whose_plugin_changed_does_not_work()
    {
        var folder = PluginFolder.Open(Path.Combine(Path.GetDirectoryName(Product.Host)!, "plugins", "methods.sft"), PluginOrigin.Product);
        var job = new PlanJob("a1", "train", "train/a", [], new Dictionary<string, string>(), [], "{}", "{}", [], [], [], "", [folder.Manifest.Id], "");
        new JobPreparation(run, run.Path, new Dictionary<string, string>(), 1, Inexact: false, new FileHashes(new Dictionary<string, PluginFolder> { [folder.Manifest.Id] = folder })).Begin(job);
        var spec = JobSpec.Read(run.Job(job.Id));
        var file = folder.Manifest.Files[0];
        var rebuilt = folder with { Manifest = folder.Manifest with { Files = [file with { Sha256 = "0" }, .. folder.Manifest.Files.Skip(1)] } };
        Assert.That(() => JobInputs.ThrowIfPluginChanged(spec, [folder]), Throws.Nothing);
        Assert.That(() => JobInputs.ThrowIfPluginChanged(spec, [rebuilt]), Throws.InstanceOf<UserErrorException>().With.Message.StartsWith($"plugin methods.sft in {folder.Path}: was changed since this run began; run the same command again"));
        Assert.That(() => JobInputs.ThrowIfPluginChanged(spec with { MadeWith = new Dictionary<string, string>() }, [rebuilt]), Throws.Nothing, "the job does not load it");
    }

    // What the process of a job says, which is asked before it works: of data, of plugins, and of a job that another process finished.
    [Test]
    public void A_jobs_process_looks_before_it_works()
    {
        Write("rows.jsonl", "1");
        Begun(Of("evaluate", "f1", [], ("dataset.path", "rows.jsonl")));
        Write("rows.jsonl", "2");
        Assert.That(Said("f1"), Does.Contain("\"code\":2").And.Contain("rows.jsonl: changed since the plan was made"));

        var folder = PluginFolder.Open(Path.Combine(Path.GetDirectoryName(Product.Host)!, "plugins", "methods.sft"), PluginOrigin.Product);
        var before = folder with { Manifest = folder.Manifest with { Files = [.. folder.Manifest.Files.Skip(1)] } };
        var job = new PlanJob("f2", "train", "train/f2", [], new Dictionary<string, string>(), [], "{}", "{}", [], [], [], "", [folder.Manifest.Id], "");
        new JobPreparation(run, run.Path, new Dictionary<string, string> { [folder.Manifest.Id] = folder.Path }, 1, Inexact: false, new FileHashes(new Dictionary<string, PluginFolder> { [folder.Manifest.Id] = before })).Begin(job);
        Assert.That(Said("f2"), Does.Contain("\"code\":2").And.Contain("plugin methods.sft in ").And.Contain("was changed since this run began"));

        Begun(Of("evaluate", "f3", []));
        const string result = """{"kind": "evaluate", "outcome": {"results": {"acc,none": 1}}}""";
        Write("jobs/f3/result.json", result);
        Write("jobs/f3/results.json", "{}");
        Assert.That(Said("f3"), Does.Contain("\"code\":0"));
        Assert.That(File.ReadAllText(run.Job("f3").Result), Is.EqualTo(result));
        Assert.That(run.Job("f3").Timing, Does.Not.Exist, "it was done");
    }

    // Its input stays open, since its end would tell that nobody waits for the job.
    private string Said(string id)
    {
        using var process = Process.Start(new ProcessStartInfo(Product.Host, ["job", run.Path, id]) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true })!;
        var err = process.StandardError.ReadToEndAsync();
        var text = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return text + err.Result;
    }

    // The base under an adapter that another job trained is no input of the evaluation, which reads it all the same; data that
    // only that training read are not compared.
    [Test]
    public void Weights_that_are_read_through_other_jobs_count()
    {
        Write("rows.jsonl", "1");
        Write("base/config.json", "{}");
        var trained = With(OverBase, "train", "b1", [], ("policy.weights", "base"), ("dataset.path", "rows.jsonl"));
        var job = Begun(Of("evaluate", "b3", ["b2"]), trained, With(Selection, "select", "b2", ["b1"]));
        Write("rows.jsonl", "2");
        Assert.That(() => JobInputs.ThrowIfChanged(job), Throws.Nothing);
        Write("base/config.json", "[]");
        Assert.That(() => JobInputs.ThrowIfChanged(job), Throws.InstanceOf<UserErrorException>().With.Message.Contains("base: changed since"));
    }

    private const string OverBase = """{"policy": {"weights": "base"}, "adapter": {"name": "lora"}}""";
    private const string Selection = """{"candidates": [{"weights": {"job": "b1"}}]}""";

    private static string Merge(string strategy, string weights) =>
        $$$"""{"base_model": {"weights": "base"}, "parents": [{"weights": {"job": "b1"}}, {{{weights}}}], "strategy": {"name": "{{{strategy}}}", "options": {"weight": 0.5} } }""";

    private static IEnumerable<TestCaseData> Products()
    {
        const string adapter = """{"weights": {"job": "b1", "checkpoint": "step:2"}}""";
        yield return new TestCaseData("train", OverBase, true);
        yield return new TestCaseData("train", """{"policy": {"weights": {"job": "b1"}}, "adapter": {"name": "lora"}}""", true);
        yield return new TestCaseData("train", """{"policy": {"weights": "base"}, "adapter": null}""", false);
        yield return new TestCaseData("train", """{"policy": {"weights": {"job": "b1"}}}""", false);
        yield return new TestCaseData("select", Selection, true);
        yield return new TestCaseData("merge", Merge("linear", adapter), true);
        yield return new TestCaseData("merge", Merge("ties", adapter), false);
        yield return new TestCaseData("merge", Merge("linear", """{"weights": "whole"}"""), false);
        yield return new TestCaseData("make-dataset", """{"policy": {"weights": "base"}}""", false);
    }

    // b1 is an adapter over the base. Whole weights hide what they were made from, which nobody reads again.
    [TestCaseSource(nameof(Products))]
    public void A_base_counts_below_adapters_alone(string kind, string options, bool isRead)
    {
        Write("base/config.json", "{}");
        var made = With(options, kind, "b2", ["b1"], ("policy.weights", "base"), ("base_model.weights", "base"));
        var job = Begun(Of("evaluate", "b3", ["b2"]), With(OverBase, "train", "b1", [], ("policy.weights", "base")), made);
        Assert.That(job.Spec.Beneath!.Select(input => input.Path), isRead ? Is.EqualTo(new[] { "base" }) : Is.Empty);
        Write("base/config.json", "[]");
        Assert.That(() => JobInputs.ThrowIfChanged(job), isRead ? Throws.InstanceOf<UserErrorException>() : Throws.Nothing);
    }

    [Test]
    public void Nothing_stays_that_may_be_of_other_content()
    {
        Write("rows.jsonl", "1");
        var job = Begun(Of("evaluate", "c1", [], ("dataset.path", "rows.jsonl")));
        string[] unfinished = ["checkpoints/2/state.json", "points/step-2/adapter/a", "adapter/a", "metrics.jsonl", "records.jsonl"];
        foreach (var name in unfinished) Write($"jobs/c1/{name}", "x");
        Assert.That(() => JobInputs.ThrowIfChangedMeanwhile(job), Throws.Nothing);
        Assert.That(unfinished.Select(job.Folder.File), Is.All.Exist);
        Write("rows.jsonl", "2");
        Assert.That(() => JobInputs.ThrowIfChangedMeanwhile(job), Throws.InstanceOf<UserErrorException>());
        Assert.That(Directory.GetFileSystemEntries(job.Folder.Path), Is.EqualTo(new[] { job.Folder.Spec }));
    }

    // What a training has read before its first step does not end it.
    [Test]
    public void Of_a_training_all_stays_and_a_warning_says_so()
    {
        Write("rows.jsonl", "1");
        var said = new List<string>();
        var job = Begun(Planned("d1", [], ("dataset.path", "rows.jsonl"))) with { Say = said.Add };
        Write("jobs/d1/metrics.jsonl", "x");
        Write("rows.jsonl", "2");
        Assert.That(() => JobInputs.ThrowIfChangedMeanwhile(job), Throws.Nothing);
        Assert.That(said, Has.Count.EqualTo(1).And.Some.StartsWith(Path.Combine(run.Path, "rows.jsonl") + ": changed while d1"));
        Assert.That(job.Folder.File("metrics.jsonl"), Does.Exist);
    }

    // What it writes would take its configuration from the model that lies there now. What it is to go on from stays.
    [TestCase("policy.weights")]
    [TestCase("base_policy.weights")]
    public void A_training_is_not_written_with_another_model(string place)
    {
        Write("model/config.json", "{}");
        Write("rows.jsonl", "1");
        var job = Begun(Planned("e1", [], (place, "model"), ("dataset.path", "rows.jsonl")));
        string[] kept = ["checkpoints/2/state.json", "points/step-2/model/a", "metrics.jsonl", "ledger.json"];
        foreach (var name in kept) Write($"jobs/e1/{name}", "x");
        Write("rows.jsonl", "2");
        Assert.That(() => JobInputs.ThrowIfModelChanged(job), Throws.Nothing, "rows are data");
        Write("model/more.json", "{}");
        foreach (var ends in (Action<JobContext>[])[JobInputs.ThrowIfModelChanged, JobInputs.ThrowIfChangedMeanwhile])
            Assert.That(() => ends(job), Throws.InstanceOf<UserErrorException>().With.Message.StartsWith(Path.Combine(run.Path, "model") + ": changed while e1").And.Message.Contains("put back"));
        Assert.That(kept.Select(job.Folder.File), Is.All.Exist);
        File.Delete(Path.Combine(run.Path, "model", "more.json"));
        Assert.That(() => JobInputs.ThrowIfModelChanged(job), Throws.Nothing);
    }

    // A folder of data may be the one in which the run lies: its results are no data.
    [Test]
    public void Results_in_a_folder_are_no_part_of_it()
    {
        Write("data/rows.jsonl", "1");
        Write("data/more/rows.jsonl", "1");
        string? Hash(string results) => new ContentHashes(Path.Combine(run.Path, "data", results, "hashes.json"), run.Path) { Cancellation = default }.Of("data");
        var before = Hash("out");
        foreach (var name in (string[])["out/plan.json", "out/jobs/a/metrics.jsonl", "out/hashes.json", "other/plan.json", "other/jobs/b/lock", "trained/request.json", "trained/job.json", "trained/model/config.json"]) Write($"data/{name}", "x");
        Assert.That(Hash("out"), Is.EqualTo(before));
        Write("data/evaluated/records.jsonl", "x");
        Assert.That((Hash("evaluated"), Hash("out") == before), Is.EqualTo((before, false)), "of others only runs and trainings are known");
        Write("data/more/rows.jsonl", "2");
        Assert.That(Hash("evaluated"), Is.Not.EqualTo(before));
    }
}
