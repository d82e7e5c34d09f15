// Whether a process works on a job is asked of the kernel's lock; who asks is no such process.

using PeftAlign.Host.Store;

namespace PeftAlign.Host.Tests.Running;

public sealed class LockProbeTests
{
    private string file = "";

    [SetUp]
    public void Make() => file = Path.GetTempFileName();

    [TearDown]
    public void Remove() => File.Delete(file);

    // Two `runs show`, or two dry runs of a training, at one time.
    [Test]
    public void Whoever_else_asks_is_not_taken_for_a_worker()
    {
        using var other = RunView.Asking(file);
        Assert.That(RunView.IsHeld(file), Is.False);
    }

    [Test]
    public void A_worker_is_seen_and_its_end_too()
    {
        using (new FileStream(file, FileMode.Open, FileAccess.ReadWrite, FileShare.None)) Assert.That(RunView.IsHeld(file));
        Assert.That(RunView.IsHeld(file), Is.False);
        Assert.That(RunView.IsHeld(file + " that is not there"), Is.False);
    }
}
