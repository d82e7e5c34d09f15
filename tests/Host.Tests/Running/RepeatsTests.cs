// From which step a training goes on when a point is asked for that it did not keep.

using PeftAlign.Core;
using PeftAlign.Host.Running;

namespace PeftAlign.Host.Tests.Running;

public sealed class RepeatsTests
{
    private const int Done = 8;
    private RunFolder run = new("");

    [SetUp]
    public void Make() => run = new RunFolder(Directory.CreateTempSubdirectory("peftalign repeats ").FullName);

    [TearDown]
    public void Remove() => Directory.Delete(run.Path, recursive: true);

    // Eight steps of a quarter of an epoch each, with checkpoints after the third, the fourth and the fifth.
    [TestCase("epoch:1", true, "epoch:1", 4, TestName = "A checkpoint at the point itself serves")]
    [TestCase("epoch:0.9", true, "epoch:0.9", 4, TestName = "An epoch is reached by the step that completes it")]
    [TestCase("step:6 step:3", true, "step:3", 3, TestName = "The first point that is missing decides")]
    [TestCase("step:2", true, "step:2", 0, TestName = "Without a checkpoint before it the training starts anew")]
    [TestCase("step:6", true, "step:6", 5, TestName = "Of a finished training what is behind the checkpoint is repeated")]
    [TestCase("step:7", false, null, 0, TestName = "A training that was stopped goes on from there anyway")]
    [TestCase("step:4", false, "step:4", 4, TestName = "One that was stopped later goes back")]
    [TestCase("step:9", true, null, 0, TestName = "A point that is still to come costs nothing")]
    public void A_point_that_was_passed(string points, bool isFinished, string? first, int from)
    {
        var folder = run.Job("a1");
        RunFolder.Write(folder.File("metrics.jsonl"), string.Concat(Enumerable.Range(1, Done).Select(step => FormattableString.Invariant($"{{\"step\":{step},\"epoch\":{step / 4.0}}}\n"))) + "{\"step\":9,\"ep");
        foreach (var step in (string[])["3", "4", "5", "5.partial-7"]) Directory.CreateDirectory(Path.Combine(folder.File("checkpoints"), step));
        if (isFinished)
        {
            Directory.CreateDirectory(folder.Adapter);
            RunFolder.Write(folder.Result, """{"kind": "train", "outcome": {} }""");
        }
        var job = new PlanJob("a1", "train", "teach", [], new Dictionary<string, string>(), [], "{}", "{}", [], [], points.Split(' '), "", [], "");
        Assert.That(Repeats.Of(run, job), Is.EqualTo(first is null ? null : new Repeats(first, from, Done)));
    }
}
