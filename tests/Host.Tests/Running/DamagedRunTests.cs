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
        RunFolder.Write(folder.Results, """{"results": {"x": {"acc,none": 1}}}""");
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

    // A report without the policy, under a run that says that all is finished, would hide it.
    [TestCase("results.json")]
    [TestCase("samples_x.jsonl")]
    public void An_evaluation_whose_files_are_gone_is_made_again(string gone)
    {
        var folder = run.Job(Job.Id);
        RunFolder.Write(folder.Spec, """{"kind": "evaluate", "label": "evaluate/x"}""");
        RunFolder.Write(folder.Results, """{"results": {"x": {"acc,none": 1}}}""");
        RunFolder.Write(folder.File("samples_x.jsonl"), "{}\n");
        var result = new JsonObject { ["kind"] = "evaluate", ["outcome"] = new JsonObject { ["results"] = new JsonObject { ["acc,none"] = 1 } } };
        FinishedJob.NoteMade(result, folder);
        RunFolder.Write(folder.Result, result.ToJsonString());
        RunFolder.Write(run.Plan, """{"name": "n", "jobs": [{"id": "a1", "kind": "evaluate", "label": "evaluate/x", "depends_on": []}]}""");
        Assert.That((run.IsFinished(Job), RunData.Read(run).Jobs.Single().Outcome is not null), Is.EqualTo((true, true)));
        File.Delete(folder.File(gone));
        Assert.That((run.IsFinished(Job), RunData.Read(run).Jobs.Single().Outcome is not null), Is.EqualTo((false, false)));
        using var remarks = new StringWriter();
        Assert.That(new Dispatcher(Host.CommandLine.Catalogue.Commands, TextWriter.Null, remarks).RunAsync(["report", run.Path]).GetAwaiter().GetResult(), Is.Zero);
        Assert.That(remarks.ToString(), Does.Contain($"warning: files that {folder.Path} had are gone, so evaluate/x counts as not finished; run the manifest again"));
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

    [Test]
    public void Several_jobs_share_the_threads_and_no_gpu()
    {
        Assert.That(() => RunSettings.Of(run, 1, "cuda:1", 2, inexact: false), Throws.InstanceOf<UserErrorException>().With.Message.StartsWith("--jobs 2: a GPU serves one job at a time").And.Message.Contains("--device cpu"));
        Assert.That(run.Settings, Does.Not.Exist, "what is refused decides nothing");
        Assert.That(RunSettings.Of(run, 8, "cpu", 3, inexact: false).Threads, Is.EqualTo(2));
        Assert.That(RunSettings.Of(run, null, null, 5, inexact: false).Threads, Is.EqualTo(2), "kept");
        Assert.That(RunSettings.Of(run, 2, null, 4, inexact: true).Threads, Is.EqualTo(1), "one at least");
        Assert.That(RunSettings.Of(run, 1, "cuda:1", 1, inexact: true), Is.EqualTo(new RunSettings(1, "cuda:1")), "the device alone is another");
        RunFolder.Write(run.Settings, """{"threads":100000,"device":"cpu"}""");
        Assert.That(RunSettings.Of(run, null, null, 1, inexact: true).Threads, Is.EqualTo(Environment.ProcessorCount));
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

    [TestCase("")]
    [TestCase("null")]
    [TestCase("[]")]
    [TestCase("""{"threads": """)]
    public void A_damaged_job_is_told_anew(string text)
    {
        RunFolder.Write(run.Job(Job.Id).Spec, text);
        new JobPreparation(run, run.Path, new Dictionary<string, string>(), 3, Inexact: false, new FileHashes(new Dictionary<string, Plugins.PluginFolder>())).Begin(Job);
        Assert.That(Jobs.JobSpec.Read(run.Job(Job.Id)).Threads, Is.EqualTo(3));
    }

    [TestCase("")]
    [TestCase("null")]
    [TestCase("[]")]
    [TestCase("""{"id": 3}""")]
    [TestCase("""{"id": "a1", "id": "a1"}""")]
    public void A_damaged_request_of_a_training_is_named_where_work_hangs_on_it(string text)
    {
        using var folder = new SingleTraining.TrainFolder(run.Path);
        RunFolder.Write(folder.Job.File("request.json"), text);
        Assert.That(() => folder.ThrowIfOthers(Job), Throws.Nothing, "there is nothing that another request could spoil");
        RunFolder.Write(folder.Job.File("metrics.jsonl"), "{}\n");
        Assert.That(() => folder.ThrowIfOthers(Job), Throws.InstanceOf<UserErrorException>().With.Message.StartsWith(folder.Job.File("request.json") + ": is damaged").And.Message.Contains("delete this one"));
        RunFolder.Write(folder.Job.File("request.json"), """{"id": "a1", "identity": {}}""");
        Assert.That(() => folder.ThrowIfOthers(Job), Throws.Nothing);
    }

    [TestCase("make-model", "model", "")]
    [TestCase("train", "model", "")]
    [TestCase("train", "adapter", "")]
    [TestCase("train", "adapters", "")]
    [TestCase("merge", "adapter", "")]
    [TestCase("reference", "log_probs", "")]
    [TestCase("make-dataset", "rows.jsonl", "")]
    [TestCase("train", "", "step:4")]
    [TestCase("select", "", "")]
    public void A_job_whose_product_is_gone_is_not_finished(string kind, string product, string until)
    {
        var folder = run.Job(Job.Id);
        RunFolder.Write(folder.Result, $$"""{"kind": "{{kind}}", "until": "{{until}}", "outcome": {"chosen": "a", "variants": [] } }""");
        if (product.Length > 0)
        {
            Assert.That(folder.IsFinished, Is.False);
            if (folder.File(product) == folder.Rows) RunFolder.Write(folder.Rows, "");
            else Directory.CreateDirectory(folder.File(product));
        }
        Assert.That(folder.IsFinished);
    }

    // A reward model trained with LoRA is two folders. Results of before that was noted are asked for one.
    [TestCase("train", "", "adapter,model")]
    [TestCase("train", "", "adapter,adapters")]
    [TestCase("merge", "", "model")]
    [TestCase("train", "step:4", "")]
    [TestCase("make-dataset", "", "")]
    public void A_job_of_which_one_product_is_gone_is_not_finished(string kind, string until, string made)
    {
        var folder = run.Job(Job.Id);
        string[] names = made.Length > 0 ? made.Split(',') : [];
        foreach (var name in names.Append("checkpoints")) Directory.CreateDirectory(folder.File(name));
        RunFolder.Write(folder.Rows, "");
        var result = new JsonObject { ["kind"] = kind, ["until"] = until, ["outcome"] = new JsonObject() };
        RunFolder.Write(folder.Result, result.ToJsonString());
        Assert.That(folder.IsFinished);
        FinishedJob.NoteMade(result, folder);
        Assert.That(result["made"]?.AsArray().Select(name => (string)name!) ?? [], Is.EqualTo(names));
        RunFolder.Write(folder.Result, result.ToJsonString());
        Assert.That(folder.IsFinished);
        foreach (var name in names)
        {
            Directory.Delete(folder.File(name));
            Assert.That(folder.IsFinished, Is.False, name);
            Directory.CreateDirectory(folder.File(name));
        }
        Assert.That(folder.IsFinished);
    }

    [Test]
    public void A_result_is_read_once_and_again_when_it_is_another()
    {
        var folder = run.Job(Job.Id);
        RunFolder.Write(folder.Results, "{}");
        RunFolder.Write(folder.Result, """{"kind": "evaluate", "outcome": {"results": {"acc,none": 1}, "unanswered": 3}, "made_with": {"peftalign": "x"}}""");
        var first = run.Job(Job.Id).Finished;
        Assert.That(run.Job(Job.Id).Finished, Is.SameAs(first));
        Assert.That((first!.Unanswered, first.MadeWith["peftalign"], run.IsSettled(Job)), Is.EqualTo((3, "x", false)));
        RunFolder.Write(folder.Result, """{"kind": "evaluate", "outcome": {"results": {"acc,none": 1}, "unanswered": 0}, "made_with": {"peftalign": "x"}}""");
        Assert.That((run.Job(Job.Id).Finished!.Unanswered, run.IsSettled(Job)), Is.EqualTo((0, true)));
        File.Delete(folder.Result);
        Assert.That(run.IsFinished(Job), Is.False);
    }

    // A change of the kernels, which lie apart from the program, shows; what earlier versions did not note is unknown, not changed.
    [Test]
    public void Other_native_kernels_are_other_files()
    {
        var files = new FileHashes(new Dictionary<string, Plugins.PluginFolder>());
        var now = files.Of(Job);
        Assert.That(now[FileHashes.Native], Has.Length.EqualTo(32));
        Assert.That(now[FileHashes.Libtorch], Does.Match(@"^\d+\.\d+"));
        RunFolder.Write(run.Job(Job.Id).Results, "{}");
        IReadOnlyList<string> Changed(params (string Name, string? Hash)[] noted)
        {
            var with = new JsonObject(now.Select(file => KeyValuePair.Create(file.Key, (JsonNode?)file.Value)));
            foreach (var (name, hash) in noted)
                if (hash is null) with.Remove(name);
                else with[name] = hash;
            RunFolder.Write(run.Job(Job.Id).Result, new JsonObject { ["kind"] = "evaluate", ["outcome"] = new JsonObject { ["results"] = new JsonObject { ["acc,none"] = 1 } }, ["made_with"] = with }.ToJsonString());
            return files.ChangedSince(FinishedJob.Recorded(run.Job(Job.Id))!, Job);
        }
        Assert.That(Changed(), Is.Empty);
        Assert.That(Changed((FileHashes.Native, "0"), (FileHashes.Libtorch, "1.0")), Is.EqualTo(new[] { FileHashes.Libtorch, FileHashes.Native }));
        Assert.That(Changed((FileHashes.Native, null), (FileHashes.Libtorch, null)), Is.Empty);
        Assert.That(Changed(("peftalign", null)), Is.EqualTo(new[] { "peftalign" }));
    }

    [Test]
    public void A_run_that_may_not_be_read_hides_no_other_from_the_list()
    {
        var (good, bad) = (new RunFolder(Path.Combine(run.Path, "good")), new RunFolder(Path.Combine(run.Path, "bad")));
        foreach (var each in (RunFolder[])[good, bad]) RunFolder.Write(each.Plan, $$"""{"name": "{{Path.GetFileName(each.Path)}}", "jobs": []}""");
        var jobs = Directory.CreateDirectory(Path.Combine(bad.Path, "jobs")).FullName;
        if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(jobs, UnixFileMode.None);
        if (IsListed(jobs)) // root may; of the first process not all is shown even to root where it runs in a container
        {
            Directory.Delete(jobs);
            Directory.CreateSymbolicLink(jobs, "/proc/1/map_files");
            if (IsListed(jobs)) Assert.Ignore("this user may list every folder");
        }
        using var results = new StringWriter();
        using var remarks = new StringWriter();
        var code = new Dispatcher(Host.CommandLine.Catalogue.Commands, results, remarks).RunAsync(["runs", "list", "--root", run.Path]).GetAwaiter().GetResult();
        if (!OperatingSystem.IsWindows() && new DirectoryInfo(jobs).LinkTarget is null) File.SetUnixFileMode(jobs, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute); // else its user, if not root, cannot remove it
        Assert.That(code, Is.Zero, remarks.ToString());
        Assert.That(results.ToString(), Does.Contain("good"));
        Assert.That(remarks.ToString(), Does.Contain($"{bad.Path}: cannot be read ("));

        static bool IsListed(string path)
        {
            try
            {
                return Directory.GetDirectories(path).Length >= 0;
            }
            catch (UnauthorizedAccessException)
            {
                return false;
            }
        }
    }
}
