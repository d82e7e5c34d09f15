// How commands end: a signal that comes too late, and the summary of a run in which much failed.

using System.Runtime.InteropServices;
using PeftAlign.Host.CommandLine;
using PeftAlign.Host.Commands;

namespace PeftAlign.Host.Tests;

public sealed class EndingTests
{
    [Test]
    public void A_signal_that_comes_while_the_command_ends_is_no_error()
    {
        var interrupts = new Interrupts();
        interrupts.Dispose();
        var context = new PosixSignalContext(PosixSignal.SIGTERM);
        Assert.That(() => interrupts.OnSignal(context), Throws.Nothing);
        Assert.That(context.Cancel, Is.True, "the process ends by itself, with the command's own code");
    }

    [TestCase(0, 0, null)]
    [TestCase(20, 20, null)]
    [TestCase(21, 20, "failed: 1 more")]
    [TestCase(500, 20, "failed: 480 more")]
    public void A_summary_tells_so_many_jobs_and_counts_the_rest(int jobs, int told, string? rest)
    {
        var lines = RunCommand.Ended("failed", [.. Enumerable.Range(0, jobs).Select(k => $"job{k}: no space left")]).ToList();
        Assert.That(lines.Take(told), Is.EqualTo(Enumerable.Range(0, told).Select(k => $"failed: job{k}: no space left")));
        Assert.That(lines.Skip(told), Is.EqualTo(rest is null ? [] : new[] { rest }));
    }
}
