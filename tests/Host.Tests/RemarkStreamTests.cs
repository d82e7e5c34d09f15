// Remarks go where they can; a terminal that hung up or a full disk does not end the work that they speak of.

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
}
