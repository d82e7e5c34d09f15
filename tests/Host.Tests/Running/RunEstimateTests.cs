// What a run says of the time that is left, from the times of its finished jobs.

using PeftAlign.Core;
using PeftAlign.Host.Running;

namespace PeftAlign.Host.Tests.Running;

public sealed class RunEstimateTests
{
    private static readonly Dictionary<string, double?> Nothing = [];
    private RunFolder run = new("");

    [SetUp]
    public void Make() => run = new RunFolder(Directory.CreateTempSubdirectory("peftalign estimate ").FullName);

    [TearDown]
    public void Remove() => Directory.Delete(run.Path, recursive: true);

    private static PlanJob Job(string id, string kind) => new(id, kind, id, [], new Dictionary<string, string>(), [], "{}", "{}", [], [], [], "", [], "");

    private PlanJob Finished(string id, string kind, int seconds)
    {
        RunFolder.Write(run.Job(id).Result, $$"""{"kind": "{{kind}}", "outcome": {} }""");
        Directory.CreateDirectory(run.Job(id).Model);
        RunFolder.Write(run.Job(id).Timing, $$"""{"seconds": {{seconds}}, "peak_memory_bytes": 1}""");
        return Job(id, kind);
    }

    [Test]
    public void Open_jobs_take_as_long_as_finished_ones_of_their_kind_and_as_many_at_once_as_there_are()
    {
        PlanJob[] jobs = [Finished("a", "train", 10), Finished("b", "train", 20), Job("c", "train"), Job("d", "train"), Job("e", "train"), Job("f", "merge")];
        RunEstimate Of(int atOnce, int count)
        {
            var estimate = new RunEstimate(atOnce);
            estimate.Start(jobs[..count], run);
            return estimate;
        }
        Assert.That(Of(2, 6).SecondsLeft(Nothing), Is.Null, "no merge was ever finished");
        Assert.That(Of(2, 5).SecondsLeft(Nothing), Is.EqualTo(3 * 15.0 / 2));
        Assert.That(Of(8, 5).SecondsLeft(Nothing), Is.EqualTo(15), "three jobs take three places");
        Assert.That(Of(8, 2).SecondsLeft(Nothing), Is.Zero);
        var two = Of(2, 5);
        Assert.That(two.SecondsLeft(new Dictionary<string, double?> { ["c"] = 3, ["d"] = 7, ["e"] = 5 }), Is.EqualTo(7), "all are at work: the last one to end");
        Assert.That(two.SecondsLeft(new Dictionary<string, double?> { ["c"] = 3, ["d"] = 7, ["e"] = null }), Is.EqualTo(3 * 15.0 / 2), "of one the pace is not known");
        two.Ended(jobs[2], 30, isFinished: true);
        Assert.That(two.SecondsLeft(Nothing), Is.EqualTo(2 * 20.0 / 2));
        two.Ended(jobs[3], 1000, isFinished: false);
        Assert.That(two.SecondsLeft(Nothing), Is.EqualTo(20), "what failed tells nothing of the others");
    }

    [TestCase(99, "99 s")]
    [TestCase(100, "2 min")]
    [TestCase(5999, "100 min")]
    [TestCase(6000, "1.7 h")]
    [TestCase(359_999, "100.0 h")]
    [TestCase(360_000, "4.2 days")]
    public void A_duration_has_the_unit_that_one_reads(double seconds, string text) => Assert.That(RunDisplay.Duration(seconds), Is.EqualTo(text));
}
