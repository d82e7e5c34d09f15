// What a run shows meanwhile, by a clock of its own.

using PeftAlign.Core;
using PeftAlign.Host.Running;

namespace PeftAlign.Host.Tests.Running;

public sealed class RunDisplayTests
{
    [Test]
    public void A_beat_that_comes_after_the_end_shows_nothing()
    {
        var (clock, job) = (new Clock(), new PlanJob("a", "train", "train/a", [], new Dictionary<string, string>(), [], "{}", "{}", [], [], [], "", [], ""));
        using var remarks = new StringWriter();
        var output = new Output(TextWriter.Null, remarks);
        using (var display = new RunDisplay(output, atOnce: 1, clock))
        {
            display.Start([job], new RunFolder(TestContext.CurrentContext.WorkDirectory), 0);
            display.Started(job);
            clock.To(20, beats: true);
        }
        output.Remark("the run's summary");
        clock.To(30, beats: true);
        Assert.That(clock.IsStopped);
        var lines = remarks.ToString().Split(Environment.NewLine, StringSplitOptions.RemoveEmptyEntries);
        Assert.That(lines[^2], Does.StartWith("0 of 1 jobs done, 1 running, 20 s so far"));
        Assert.That(lines[^1], Is.EqualTo("the run's summary"));
    }
}
