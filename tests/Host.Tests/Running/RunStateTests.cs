// What the `runs` commands say of folders as runs leave them: the state of each job, sums over a run, differences between two, and what
// gc must not touch.

using System.Text.Json.Nodes;
using PeftAlign.Host.CommandLine;
using PeftAlign.Host.Running;

namespace PeftAlign.Host.Tests.Running;

public sealed class RunStateTests
{
    private string root = "";
    private RunFolder run = new("");

    [SetUp]
    public void Make()
    {
        root = Directory.CreateTempSubdirectory("peftalign states ").FullName;
        run = new RunFolder(Path.Combine(root, "one"));
    }

    [TearDown]
    public void Remove() => Directory.Delete(root, recursive: true);

    private static string Call(params string[] args)
    {
        using var results = new StringWriter();
        using var remarks = new StringWriter();
        var code = new Dispatcher(Catalogue.Commands, results, remarks).RunAsync(args).GetAwaiter().GetResult();
        Assert.That(code, Is.Zero, remarks.ToString());
        return results.ToString();
    }

    private static void Plan(RunFolder run, params string[] ids) =>
        RunFolder.Write(run.Plan, $$"""{"name": "n", "jobs": [{{string.Join(", ", ids.Select(id => $$"""{"id": "{{id}}", "kind": "evaluate", "label": "evaluate/{{id}}", "depends_on": []}"""))}}]}""");

    private static JobFolder Begun(RunFolder run, string id, string kind = "evaluate")
    {
        RunFolder.Write(run.Job(id).Spec, $$"""{"kind": "{{kind}}", "label": "{{kind}}/{{id}}"}""");
        return run.Job(id);
    }

    private static void Finished(RunFolder run, string id, double accuracy, string started = "2026-01-02T00:00:00.000Z")
    {
        RunFolder.Write(Begun(run, id).Result, $$$"""{"kind": "evaluate", "outcome": {"results": {"acc,none": {{{accuracy}}} } } }""");
        RunFolder.Write(run.Job(id).Results, "{}");
        RunFolder.Write(run.Job(id).Timing, $$"""{"started": "{{started}}", "seconds": 2.5, "peak_memory_bytes": 7}""");
    }

    private IEnumerable<(string, string, string?)> States() =>
        JsonNode.Parse(Call("runs", "show", run.Path, "--json"))!["jobs"]!.AsArray().Select(job => ((string)job!["id"]!, (string)job["state"]!, (string?)job["error"]));

    // The index is kept between two looks, and sees what came since.
    [Test]
    public void Each_job_is_in_the_state_that_its_folder_shows()
    {
        Plan(run, "done", "at-work", "broken", "stopped", "waiting");
        Finished(run, "done", 0.5);
        RunFolder.Write(Begun(run, "broken").Failure, """{"error": "no room"}""");
        Begun(run, "stopped");
        using (new FileStream(Begun(run, "at-work").Lock, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None))
            Assert.That(States(), Is.EqualTo(new[] { ("done", "finished", null), ("at-work", "running", null), ("broken", "failed", "no room"), ("stopped", "stopped", null), ("waiting", "waiting", (string?)null) }));
        RunFolder.Write(run.Job("stopped").Failure, """{"error": "too late"}""");
        File.Delete(run.Job("broken").Failure);
        Finished(run, "at-work", 1);
        Assert.That(States().Skip(1).Take(3), Is.EqualTo(new[] { ("at-work", "finished", null), ("broken", "stopped", null), ("stopped", "failed", (string?)"too late") }));
    }

    // The run makes it again, and the report has no number of it. The index has seen it finished.
    [Test]
    public void An_evaluation_whose_files_were_deleted_is_not_finished()
    {
        Plan(run, "whole", "without-results", "without-samples");
        foreach (var id in (string[])["whole", "without-results", "without-samples"])
        {
            Finished(run, id, 0.5);
            RunFolder.Write(run.Job(id).File("samples_t.jsonl"), "{}");
            RunFolder.Write(run.Job(id).Result, """{"kind": "evaluate", "outcome": {"results": {"acc,none": 0.5} }, "made": ["results.json", "samples_t.jsonl"]}""");
        }
        Assert.That(States().Select(job => job.Item2), Is.All.EqualTo("finished"));
        File.Delete(run.Job("without-results").Results);
        File.Delete(run.Job("without-samples").File("samples_t.jsonl"));
        Assert.That(States(), Is.EqualTo(new[] { ("whole", "finished", null), ("without-results", "stopped", null), ("without-samples", "stopped", (string?)null) }));
    }

    [Test]
    public void A_trainings_numbers_are_its_results_and_then_those_of_its_last_row()
    {
        Plan(run);
        RunFolder.Write(Begun(run, "t", "train").Result, """{"kind": "train", "outcome": {"steps": 2, "final_loss": 0.25}}""");
        Directory.CreateDirectory(run.Job("t").Adapter);
        RunFolder.Write(run.Job("t").File("metrics.jsonl"), """{"loss": 9, "grad_norm": 9}""" + "\n" + """{"steps": 7, "loss": 0.5, "grad_norm": "NaN"}""" + "\n");
        var metrics = JsonNode.Parse(Call("runs", "show", run.Path, "--json"))!["jobs"]![0]!["metrics"]!;
        Assert.That(metrics.ToJsonString(), Is.EqualTo("""{"final_loss":0.25,"grad_norm":null,"loss":0.5,"steps":2}"""));
    }

    // Of the plan's jobs alone; what a link leads to is listed where it lies.
    [Test]
    public void A_list_counts_the_jobs_of_the_plan_and_enters_no_link()
    {
        Plan(run, "a", "b");
        Finished(run, "a", 0.5, "2026-01-02T03:04:05.000Z");
        Finished(run, "b", 0.5, "2026-01-01T03:04:05.000Z");
        Finished(run, "superfluous", 0.5, "2026-01-03T03:04:05.000Z");
        Directory.CreateSymbolicLink(Path.Combine(root, "link"), run.Path);
        Plan(new RunFolder(Path.Combine(root, ".hidden")), "a");
        Plan(new RunFolder(run.Job("a").File("inside")), "a");
        var listed = JsonNode.Parse(Call("runs", "list", "--root", root, "--json"))!["runs"]!.AsArray().Single()!;
        Assert.That(((string?)listed["path"], (int)listed["jobs"]!, (int)listed["finished"]!, (double)listed["seconds"]!, (string?)listed["started"]), Is.EqualTo((run.Path, 2, 2, 5.0, "2026-01-01T03:04:05.000Z")));
    }

    [Test]
    public void Two_runs_are_compared_as_the_second_less_the_first()
    {
        var two = new RunFolder(Path.Combine(root, "two"));
        Plan(run, "more1", "less1", "same");
        Plan(two, "more1", "less1", "same");
        foreach (var (id, first, second) in new[] { ("more1", 0.25, 0.75), ("less1", 0.5, 0.25), ("superfluous", 0.5, 0.25) })
        {
            Finished(run, id, first);
            Finished(new RunFolder(two.Path), id + "x", second);
            RunFolder.Write(two.Job(id + "x").Spec, $$"""{"kind": "evaluate", "label": "evaluate/{{id}}"}""");
        }
        Plan(two, "more1x", "less1x", "same");
        foreach (var each in (RunFolder[])[run, two]) Finished(each, "same", 0.5);
        var text = Call("runs", "compare", run.Path, two.Path);
        Assert.That(text, Does.Match(@"evaluate/more1 +acc +0\.2500 +0\.7500 +\+0\.5000\n").And.Match(@"evaluate/less1 +acc +0\.5000 +0\.2500 +-0\.2500\n").And.Match(@"evaluate/same +acc +0\.5000 +0\.5000 +=\n").And.Not.Contain("superfluous"));
    }

    // A link among the jobs leads to what is not this run's.
    [Test]
    public void Gc_follows_no_link_and_takes_no_job_that_is_held()
    {
        var two = new RunFolder(Path.Combine(root, "two"));
        Plan(run, "a");
        foreach (var id in (string[])["a", "b", "c"]) Finished(run, id, 0.5);
        Finished(two, "x", 0.5);
        Directory.CreateSymbolicLink(run.Job("link").Path, two.Job("x").Path);
        using (new FileStream(run.Job("b").Lock, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None))
        {
            var held = Store.Garbage.Of(run, new HashSet<string> { "a", "c" }).Single();
            Assert.That((held.Id, held.IsRunning, held.Delete()), Is.EqualTo(("b", true, false)), "not even where it was taken up since it was looked at");
            Assert.That(run.Job("b").IsFinished, "nothing of it is gone");
            Assert.That(Call("runs", "gc", run.Path), Does.StartWith("deleted evaluate/c (").And.Contain("\n1 job(s), "));
        }
        Assert.That(Directory.GetFileSystemEntries(Path.Combine(run.Path, "jobs")).Select(Path.GetFileName), Is.EquivalentTo(new[] { "a", "b", "link" }));
        Assert.That(two.Job("x").IsFinished);
    }
}
