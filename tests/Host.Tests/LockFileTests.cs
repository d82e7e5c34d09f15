// The lock of a folder: what was locked is what the next process meets, also where the holder before deleted the file meanwhile.

using PeftAlign.Host.Evaluation;
using PeftAlign.Host.Jobs;
using PeftAlign.Host.Running;

namespace PeftAlign.Host.Tests;

public sealed class LockFileTests
{
    private string root = "";

    [SetUp]
    public void Make() => root = Directory.CreateTempSubdirectory("peftalign-lock-").FullName;

    [TearDown]
    public void Remove() => Directory.Delete(root, recursive: true);

    // Between opening and locking the holder before may have deleted the file, alone or with its folder.
    [TestCase(false)]
    [TestCase(true)]
    public void A_file_that_is_gone_keeps_nobody_out_and_counts_for_nothing(bool withFolder)
    {
        var (file, times) = (Path.Combine(root, "out", "lock"), 0);
        using var held = LockFile.Hold(file, () =>
        {
            if (++times > 1) return;
            File.Delete(file);
            if (withFolder) Directory.Delete(Path.GetDirectoryName(file)!);
        });
        Assert.That(times, Is.EqualTo(2));
        Assert.That(() => LockFile.Hold(file), Throws.InstanceOf<IOException>().With.Property("HResult").EqualTo(JobProcess.WouldBlock));
    }

    [Test]
    public void A_file_that_another_process_has_made_meanwhile_is_its_own()
    {
        var file = Path.Combine(root, "lock");
        FileStream? other = null;
        Assert.That(() => LockFile.Hold(file, () =>
        {
            File.Delete(file);
            other = LockFile.Hold(file);
        }), Throws.InstanceOf<IOException>().With.Property("HResult").EqualTo(JobProcess.WouldBlock));
        other!.Dispose();
        LockFile.Hold(file).Dispose();
    }

    [Test]
    public void Where_no_file_is_ever_still_there_a_lock_is_had_all_the_same()
    {
        var (file, times) = (Path.Combine(root, "lock"), 0);
        LockFile.Hold(file, () =>
        {
            times++;
            File.Delete(file);
        }).Dispose();
        Assert.That(times, Is.EqualTo(100));
    }

    // Else the end of an evaluation would be told as that of its lock.
    [Test]
    public void A_folder_that_was_taken_away_is_let_go_of_silently()
    {
        var folder = new JobFolder(Path.Combine(root, "out"));
        var held = new EvalLock(folder, "out");
        Directory.Delete(folder.Path, recursive: true);
        Assert.That(held.Dispose, Throws.Nothing);
        new EvalLock(folder, "out").Dispose();
        Assert.That(Directory.Exists(folder.Path), Is.False);
    }
}
