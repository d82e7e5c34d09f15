// What becomes of a job that cannot be begun, such as on a full disk: no process is started for it, the run says why, and what needs it is lost
// unless it has a result from before.

using System.Text.Json.Nodes;
using PeftAlign.Core;
using PeftAlign.Host.Jobs;
using PeftAlign.Host.Running;

namespace PeftAlign.Host.Tests.Running;

public sealed class ExecutorTests
{
    private RunFolder run = null!;

    [SetUp]
    public void Make() => run = new RunFolder(Directory.CreateTempSubdirectory("peftalign executor ").FullName);

    [TearDown]
    public void Remove() => Directory.Delete(run.Path, recursive: true);

    private static PlanJob Job(string id, string kind, params string[] dependsOn) =>
        new(id, kind, $"{kind}/{id}", [$"{kind}/{id}"], new Dictionary<string, string>(), [], "{}", "{}", dependsOn, [], [], "", [], "group");

    private (RunSummary Summary, List<string> Begun) Run(params PlanJob[] jobs)
    {
        var begun = new List<string>();
        var executor = new Executor(run, job =>
        {
            begun.Add(job.Id);
            throw new IOException("No space left on device : 'job.json'", 28);
        }, 2, []);
        var work = executor.RunAsync(new Plan("full", jobs, []), CancellationToken.None);
        Assert.That(work.Wait(TimeSpan.FromMinutes(2)), "it never ends");
        return (work.Result, begun);
    }

    [Test]
    public void Jobs_that_cannot_be_begun_fail_with_the_reason_and_take_what_needs_them_along()
    {
        var (summary, begun) = Run(Job("a", "evaluate"), Job("b", "evaluate"), Job("c", "select", "a"), Job("r", "report", "c"));
        Assert.That(begun, Is.EqualTo((string[])["a", "b"]), "each once");
        Assert.That(summary.Failed.Select(failure => (failure.Label, failure.Code)), Is.EqualTo(((string, int)[])[("evaluate/a", 1), ("evaluate/b", 1)]));
        Assert.That(summary.Failed.Select(failure => failure.Error), Has.All.Contains("No space left on device").And.All.Contains("Make room on the disk"));
        Assert.That((summary.Done, summary.Skipped), Is.EqualTo((0, (string[])["select/c"])));
        var failure = JsonNode.Parse(File.ReadAllText(run.Job("b").Failure))!;
        Assert.That(((string?)failure["label"], (int?)failure["code"], (string?)failure["error"]), Is.EqualTo(("evaluate/b", 1, summary.Failed[1].Error)), "for runs show");
    }

    [Test]
    public void A_failure_that_cannot_be_noted_is_told_all_the_same()
    {
        File.WriteAllText(Path.Combine(run.Path, "jobs"), "no folder");
        Assert.That(Run(Job("a", "train")).Summary.Failed.Single().Error, Does.Contain("No space left on device"));
    }

    [Test]
    public void What_needs_an_evaluation_goes_on_with_its_former_result()
    {
        RunFolder.Write(run.Job("a").Results, "{}");
        RunFolder.Write(run.Job("a").Result, new JsonObject { ["kind"] = "evaluate", ["outcome"] = new JsonObject { ["results"] = new JsonObject { ["acc,none"] = 0.5 }, [EvaluateJob.UnansweredKey] = 2 } }.ToJsonString());
        Assert.That(run.Unanswered(Job("a", "evaluate")), Is.EqualTo(2));
        var (summary, begun) = Run(Job("a", "evaluate"), Job("c", "select", "a"));
        Assert.That((begun, summary.Skipped), Is.EqualTo(((string[])["a", "c"], Array.Empty<string>())));
        Assert.That(summary.Failed[0].Error, Does.EndWith("; its former result stays"));
    }
}
