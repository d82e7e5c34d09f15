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

    // Of the runtime's own files nothing is deleted that may be another's: a socket's name has room for 107 bytes, folder included.
    [TestCase(60, "dotnet-diagnostic-1234-987654321-socket")]
    [TestCase(78, "dotnet-diagnostic-1234-987654")]
    [TestCase(84, "dotnet-diagnostic-1234-")]
    [TestCase(85, null)] // another process may be 12345
    [TestCase(105, null)]
    [TestCase(150, null)] // the folder itself
    public void A_socket_whose_name_was_cut_off_is_deleted_only_where_it_is_this_process_s(int bytes, string? socket)
    {
        var folder = "/é".PadRight(bytes - 2, 'f') + "/"; // é has two bytes
        string[] expected = [.. ((string?[])["clr-debug-pipe-1234-987654321-in", "clr-debug-pipe-1234-987654321-out", socket]).OfType<string>().Select(name => folder + name)];
        Assert.That(ProcessEnd.RuntimeFiles(folder, 1234, "987654321"), Is.EqualTo(expected));
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
