// Progress on a terminal: script(1) gives the run one. The block is drawn over itself, and is gone at the end.

using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace PeftAlign.Experiments.Tests;

public sealed class DisplayTests
{
    private const string At = @"  train/tiny/world/teach/s3: \d+/400, loss \d+\.\d+, \d+ s";

    [Test]
    public void On_a_terminal_a_block_is_drawn_anew_and_elsewhere_there_are_lines()
    {
        if (Terminal("true").Code != 0) Assert.Ignore("this machine makes no pseudo-terminals");
        var drawn = Frozen.InTime(Drawn);
        Assert.That(drawn.Code, Is.Zero, drawn.Out);
        var blocks = drawn.Out.Split("\u001b[J");
        Assert.That(blocks, Has.Length.GreaterThan(2), "drawn several times");
        Assert.That(drawn.Out, Does.Match("\u001b\\[[12]A\u001b\\[J"), "up over what was drawn, which is erased");
        Assert.That(drawn.Out, Does.Match(@"[01] of 2 jobs done, 1 running, \d+ s so far"));
        Assert.That(drawn.Out, Does.Match(At));
        Assert.That(blocks[^1], Does.Not.Contain("running"), "erased at the end");
        Assert.That(drawn.Out, Does.Not.Contain("start train/"));

        using var other = new Peftalign();
        var lines = other.Finish(other.Write("short.yaml", Manifests.Short), "--only", "train/tiny/*");
        Assert.That(lines.Err, Does.Not.Contain("\u001b").And.Contain("start train/tiny/world/teach/s3\n"));
        Assert.That(Regex.IsMatch(lines.Err, @"done train/tiny/world/teach/s3 \(40/40, loss .*\) \[2/2\]"), lines.Err);
    }

    // Of a training that stands still until the display has seen it at work; null where it was done before.
    private static Outcome? Drawn()
    {
        using var user = new Peftalign();
        var manifest = user.Write("short.yaml", Manifests.Short.Replace("max_steps: 40, save_every: 4,", "max_steps: 400, save_every: 100,", StringComparison.Ordinal));
        using var process = AtTerminal($"env TERM=xterm '{Path.Combine(Peftalign.Repository, "peftalign")}' run '{manifest}' --out '{user.Run}' --threads 1 --only 'train/tiny/*'");
        var (text, door) = (new StringBuilder(), new Lock());
        var reading = Task.Run(() =>
        {
            for (var next = process.StandardOutput.Read(); next >= 0; next = process.StandardOutput.Read())
                lock (door) text.Append((char)next);
        });
        string Said()
        {
            lock (door) return text.ToString();
        }
        var seen = Frozen.At(process, () => Steps(user) is > 2 and < 400,
            () => Waiting.For(() => Regex.IsMatch(Said(), At) && Regex.Count(Said(), Regex.Escape("\u001b[J")) > 2 ? 1 : 0, "the display never showed the training at work"), () => Worker(user));
        reading.Wait();
        process.WaitForExit();
        Assert.That(process.ExitCode, Is.Zero, Said());
        return seen ? new Outcome(process.ExitCode, Said(), "") : null;
    }

    private static string? Training(Peftalign user) => Directory.Exists(Path.Combine(user.Run, "jobs")) ? Directory.GetDirectories(Path.Combine(user.Run, "jobs")).FirstOrDefault(job => File.Exists(Path.Combine(job, "metrics.jsonl"))) : null;

    private static int Steps(Peftalign user) => Training(user) is { } job ? TrainRows.Rows(job) : 0;

    private static int Worker(Peftalign user) =>
        int.Parse(Regex.Match(File.ReadAllText(Path.Combine(Training(user)!, "log.txt")), "in process ([0-9]+),").Groups[1].Value, CultureInfo.InvariantCulture);

    private static Process AtTerminal(string command) =>
        Process.Start(new ProcessStartInfo("script", ["-qec", command, "/dev/null"]) { RedirectStandardOutput = true, RedirectStandardInput = true })!;

    private static Outcome Terminal(string command)
    {
        using var process = AtTerminal(command);
        var text = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return new Outcome(process.ExitCode, text, "");
    }
}
