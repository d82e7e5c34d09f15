// Progress of long work, by a clock of its own: after 10 seconds with what is done, after 30 without.

using PeftAlign.Host.CommandLine;
using PeftAlign.Host.Evaluation;

namespace PeftAlign.Host.Tests;

public class TickerTests
{
    [Test]
    public void Silence_of_half_a_minute_is_broken()
    {
        var clock = new Clock();
        using var remarks = new StringWriter();
        using (var ticker = new Ticker(new Output(TextWriter.Null, remarks), "rows continued", clock))
        {
            Assert.That(clock.Period, Is.EqualTo(TimeSpan.FromSeconds(30)));
            ticker.Add(1);
            clock.To(30, beats: true);
            clock.To(39);
            ticker.Add(1);
            clock.To(41);
            ticker.Add(1);
            clock.To(60, beats: true); // 19 seconds after the last line
            clock.To(90, beats: true);
        }
        clock.To(120, beats: true);
        Assert.That(clock.IsStopped);
        Assert.That(remarks.ToString().Split(Environment.NewLine, StringSplitOptions.RemoveEmptyEntries), Is.EqualTo((string[])["1 rows continued (30 s)", "3 rows continued (41 s)", "3 rows continued (90 s)"]));
    }

    [Test]
    public void Items_are_told_at_first_in_silence_and_at_the_end()
    {
        var clock = new Clock();
        using var remarks = new StringWriter();
        using var ticker = new EvalTicker(new Output(TextWriter.Null, remarks), "arc", clock);
        clock.To(30, beats: true); // before anything is known of it
        clock.To(40);
        ticker.Say(2, 12);
        ticker.Say(4, 12);
        clock.To(49);
        ticker.Say(5, 12);
        clock.To(80, beats: true);
        clock.To(81);
        ticker.Say(12, 12);
        clock.To(120, beats: true);
        Assert.That(remarks.ToString().Split(Environment.NewLine, StringSplitOptions.RemoveEmptyEntries), Is.EqualTo((string[])["arc: 2 of 12 items are answered already", "arc: 4 of 12 items (0.1/s)", "arc: 5 of 12 items (0.0/s)", "arc: 12 of 12 items (0.1/s)"]));
    }
}
