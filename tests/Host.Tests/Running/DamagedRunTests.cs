// Files of a run that were damaged from outside: what can be made again is made again, what only the user knows is asked for.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Core;
using PeftAlign.Host.CommandLine;
using PeftAlign.Host.Reports;
using PeftAlign.Host.Running;
using PeftAlign.Host.Store;

namespace PeftAlign.Host.Tests.Running;

public sealed class DamagedRunTests
{
    private static readonly PlanJob Job = new("a1", "evaluate", "evaluate/x", ["evaluate/x"], new Dictionary<string, string>(), [], "{}", "{}", [], [], [], "", [], "");
    private RunFolder run = new("");

    [SetUp]
    public void Make() => run = new RunFolder(Directory.CreateTempSubdirectory("peftalign damaged ").FullName);

    [TearDown]
    public void Remove() => Directory.Delete(run.Path, recursive: true);

    [TestCase("""{"outcome": {"results": {"acc,none": 1}}}""", true)]
    [TestCase("", false)]
    [TestCase("""{"outcome": {"resul""", false)]
    [TestCase("[1]", false)]
    [TestCase("{}", false)]
    [TestCase("""{"kind": "evaluate", "outcome": null}""", false)]
    [TestCase("""{"kind": "evaluate", "outcome": {}}""", false)]
    [TestCase("""{"kind": "evaluate", "outcome": {"results": {}}}""", false)]
    [TestCase("""{"kind": "evaluate", "outcome": {"results": {"acc,none": 1}}}""", true)]
    [TestCase("""{"kind": "select", "outcome": {"chosen": "a"}}""", false)]
    [TestCase("""{"kind": "train", "kind": "train", "outcome": {}}""", false)]
    public void A_damaged_result_is_no_result(string text, bool isFinished)
    {
        var folder = run.Job(Job.Id);
        RunFolder.Write(folder.Spec, """{"kind": "evaluate", "label": "evaluate/x"}""");
        RunFolder.Write(folder.Result, text);
        RunFolder.Write(folder.Timing, "x");
        RunFolder.Write(run.Plan, """{"name": "n", "jobs": [{"id": "a1", "kind": "evaluate", "label": "evaluate/x", "depends_on": []}]}""");
        Assert.That((run.IsFinished(Job), folder.IsFinished), Is.EqualTo((isFinished, isFinished)));
        Assert.That(RunView.Of(run.Path).Jobs.Single().State, Is.EqualTo(isFinished ? "finished" : "stopped"));
        Assert.That(RunData.Read(run).Jobs.Single().Outcome is not null, Is.EqualTo(isFinished));
        if (isFinished) return;
        using var remarks = new StringWriter();
        Assert.That(new Dispatcher(Host.CommandLine.Catalogue.Commands, TextWriter.Null, remarks).RunAsync(["report", run.Path]).GetAwaiter().GetResult(), Is.Zero);
        Assert.That(remarks.ToString(), Does.Contain($"warning: {folder.Result} is damaged, so evaluate/x counts as not finished; run the manifest again"));
    }

    [Test]
    public void A_damaged_plan_hides_no_other_run_from_the_list()
    {
        var (good, bad) = (new RunFolder(Path.Combine(run.Path, "good")), new RunFolder(Path.Combine(run.Path, "bad")));
        RunFolder.Write(good.Plan, """{"name": "fine", "jobs": [{"id": "a1", "kind": "evaluate", "label": "evaluate/x", "depends_on": []}]}""");
        RunFolder.Write(bad.Plan, """{"name": "fi""");
        using var results = new StringWriter();
        using var remarks = new StringWriter();
        Assert.That(new Dispatcher(Host.CommandLine.Catalogue.Commands, results, remarks).RunAsync(["runs", "list", "--root", run.Path]).GetAwaiter().GetResult(), Is.Zero);
        Assert.That(results.ToString(), Does.Contain("fine").And.Contain("0/1"));
        Assert.That(remarks.ToString(), Does.Contain($"{bad.Plan}: cannot be read; run the manifest again"));
    }

    [TestCase("", "is damaged: its first line")]
    [TestCase("claims: []\n", "is damaged: its first line")]
    [TestCase("# claims: mine.yaml\n", "mine.yaml")]
    public void Damaged_claims_are_named(string text, string said)
    {
        RunFolder.Write(run.Plan, """{"name": "n", "jobs": []}""");
        RunFolder.Write(run.Claims, text);
        using var remarks = new StringWriter();
        Assert.That(new Dispatcher(Host.CommandLine.Catalogue.Commands, TextWriter.Null, remarks).RunAsync(["report", run.Path]).GetAwaiter().GetResult(), Is.EqualTo(2));
        Assert.That(remarks.ToString(), Does.StartWith("peftalign: ").And.Contain(said).And.Not.Contain("   at "));
        if (said.StartsWith("is", StringComparison.Ordinal)) Assert.That(remarks.ToString(), Does.Contain(run.Claims).And.Contain("run the manifest again"));
    }

    [TestCase("")]
    [TestCase("{")]
    [TestCase("{\"threads\": \"two\"}")]
    public void Damaged_settings_are_asked_for(string text)
    {
        RunFolder.Write(run.Settings, text);
        Assert.That(() => RunSettings.Of(run, 1, null, 1, inexact: false), Throws.InstanceOf<UserErrorException>().With.Message.Contains("run.json: is damaged").And.Message.Contains("--threads"));
        File.Delete(run.Settings);
        Assert.That(RunSettings.Of(run, 3, null, 1, inexact: false).Threads, Is.EqualTo(3));
    }

    [Test]
    public void A_run_keeps_the_device_that_it_was_created_on()
    {
        Assert.That(RunSettings.Of(run, 1, "cuda:1", 1, inexact: false).Device, Is.EqualTo("cuda:1"));
        Assert.That(RunSettings.Of(run, null, null, 1, inexact: false).Device, Is.EqualTo("cuda:1"));
        Assert.That(() => RunSettings.Of(run, null, "cpu", 1, inexact: false), Throws.InstanceOf<UserErrorException>().With.Message.Contains("--device cpu: this run was created on cuda:1").And.Message.Contains("--inexact"));
        Assert.That(RunSettings.Of(run, null, "cpu", 1, inexact: true).Device, Is.EqualTo("cpu"));
        Assert.That(RunSettings.Of(run, null, "cpu", 1, inexact: false).Device, Is.EqualTo("cpu"));
    }

    [Test]
    public void A_run_keeps_the_device_that_was_found_though_none_was_asked_for()
    {
        var found = RunSettings.Of(run, 1, null, 1, inexact: false).Device;
        Assert.That((string?)JsonNode.Parse(File.ReadAllText(run.Settings))!["device"], Is.EqualTo(found).And.AnyOf("cpu", "cuda:0"));
        Assert.That(RunSettings.Of(run, null, found, 1, inexact: false).Device, Is.EqualTo(found));
    }

    [TestCase("cuda:0", "cuda")]
    [TestCase("cuda", "cuda:0")]
    public void The_first_gpu_is_one_device_by_both_its_names(string first, string again)
    {
        Assert.That(RunSettings.Of(run, 1, first, 1, inexact: false).Device, Is.EqualTo(first));
        Assert.That(RunSettings.Of(run, null, again, 1, inexact: false).Device, Is.EqualTo(first));
        Assert.That(() => RunSettings.Of(run, null, "cuda:1", 1, inexact: false), Throws.InstanceOf<UserErrorException>());
    }

    // So were runs written that a libtorch without CUDA began.
    [Test]
    public void Settings_without_a_device_are_the_processors()
    {
        RunFolder.Write(run.Settings, """{"threads":1}""");
        Assert.That(RunSettings.Of(run, null, null, 1, inexact: false).Device, Is.EqualTo("cpu"));
        Assert.That(RunSettings.Of(run, null, "cpu", 1, inexact: false).Device, Is.EqualTo("cpu"));
        Assert.That(() => RunSettings.Of(run, null, "cuda:0", 1, inexact: false), Throws.InstanceOf<UserErrorException>().With.Message.Contains("created on cpu"));
    }
}
