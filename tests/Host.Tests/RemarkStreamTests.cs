// Remarks go where they can; a terminal that hung up or a full disk does not end the work that they speak of.

using System.Diagnostics;
using Microsoft.Win32.SafeHandles;
using PeftAlign.Host.CommandLine;

namespace PeftAlign.Host.Tests;

public sealed class RemarkStreamTests
{
    [Test]
    public void What_cannot_be_written_is_dropped_and_the_rest_arrives()
    {
        var kept = new MemoryStream();
        using (var remarks = new StreamWriter(new RemarkStream(kept)) { AutoFlush = true }) remarks.WriteLine("trained");
        Assert.That(kept.ToArray(), Is.EqualTo("trained\n"u8.ToArray()));
        using var full = new FileStream("/dev/full", FileMode.Open, FileAccess.Write, FileShare.ReadWrite, bufferSize: 0);
        Assert.That(() => full.Write("x"u8), Throws.InstanceOf<IOException>(), "a device without room");
        using var dropped = new StreamWriter(new RemarkStream(full)) { AutoFlush = true };
        Assert.That(() => dropped.WriteLine("trained"), Throws.Nothing);
    }

    // A write to a descriptor that is not open for it, as .NET tells it.
    [Test]
    public void What_nobody_opened_is_dropped_too()
    {
        using var reading = new FileStream("/dev/null", FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        using var closed = new FileStream(new SafeFileHandle(reading.SafeFileHandle.DangerousGetHandle(), ownsHandle: false), FileAccess.Write, bufferSize: 0);
        Assert.That(() => closed.Write("x"u8), Throws.InstanceOf<UnauthorizedAccessException>());
        using var dropped = new StreamWriter(new RemarkStream(closed)) { AutoFlush = true };
        Assert.That(() => dropped.WriteLine("trained"), Throws.Nothing);
    }

    // The launcher opens them on /dev/null: .NET would give their numbers to pipes of its own, before the host begins.
    [TestCase("2>&-", "nonsense", 2)]
    [TestCase("2>&-", "--version", 0)]
    [TestCase(">&-", "--version", 0)]
    [TestCase("<&- >&- 2>&-", "nonsense", 2)]
    [TestCase("<&- >&- 2>&-", "plugins list", 0)]
    public void A_command_ends_as_always_where_its_streams_are_closed(string closed, string command, int code) =>
        Assert.That(Code($"'{Path.Combine(Checkout.Root, "peftalign")}' {command} {closed}"), Is.EqualTo(code));

    [TestCase("nonsense", 2)]
    [TestCase("--version", 0)]
    public void The_host_itself_ends_as_always_without_a_place_for_remarks(string command, int code) =>
        Assert.That(Code($"'{Product.Host}' {command} 2>&-"), Is.EqualTo(code));

    private static int Code(string command)
    {
        using var process = Process.Start("sh", ["-c", $"exec {command}"]);
        process.WaitForExit();
        return process.ExitCode;
    }
}
