// Progress on a terminal: script(1) gives the run one. The block is drawn over itself, and is gone at the end.

using System.Diagnostics;
using System.Text.RegularExpressions;

namespace PeftAlign.Experiments.Tests;

public sealed class DisplayTests
{
    [Test]
    public void On_a_terminal_a_block_is_drawn_anew_and_elsewhere_there_are_lines()
    {
        if (Terminal("true").Code != 0) Assert.Ignore("this machine makes no pseudo-terminals");
        using var user = new Peftalign();
        // Long enough that the display, which is drawn once a second, sees it at work.
        var manifest = user.Write("short.yaml", Manifests.Short.Replace("max_steps: 40, save_every: 4,", "max_steps: 400, save_every: 100,", StringComparison.Ordinal));
        var drawn = Terminal($"env TERM=xterm '{Path.Combine(Peftalign.Repository, "peftalign")}' run '{manifest}' --out '{user.Run}' --threads 1 --only 'train/tiny/*'");
        Assert.That(drawn.Code, Is.Zero, drawn.Out);
        var blocks = drawn.Out.Split("\u001b[J");
        Assert.That(blocks, Has.Length.GreaterThan(2), "drawn several times");
        Assert.That(drawn.Out, Does.Match("\u001b\\[[12]A\u001b\\[J"), "up over what was drawn, which is erased");
        Assert.That(drawn.Out, Does.Match(@"[01] of 2 jobs done, 1 running, \d+ s so far"));
        Assert.That(drawn.Out, Does.Match(@"  train/tiny/world/teach/s3: \d+/400, loss \d+\.\d+, \d+ s"));
        Assert.That(blocks[^1], Does.Not.Contain("running"), "erased at the end");
        Assert.That(drawn.Out, Does.Not.Contain("start train/"));

        using var other = new Peftalign();
        var lines = other.Finish(other.Write("short.yaml", Manifests.Short), "--only", "train/tiny/*");
        Assert.That(lines.Err, Does.Not.Contain("\u001b").And.Contain("start train/tiny/world/teach/s3\n"));
        Assert.That(Regex.IsMatch(lines.Err, @"done train/tiny/world/teach/s3 \(40/40, loss .*\) \[2/2\]"), lines.Err);
    }

    private static Outcome Terminal(string command)
    {
        using var process = Process.Start(new ProcessStartInfo("script", ["-qec", command, "/dev/null"]) { RedirectStandardOutput = true, RedirectStandardInput = true })!;
        var text = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return new Outcome(process.ExitCode, text, "");
    }
}
