// Room on a disk, before weights are written there.

using PeftAlign.Abstractions;
using PeftAlign.Models.Checkpoints;

namespace PeftAlign.Models.Tests.Checkpoints;

internal sealed class FreeSpaceTests
{
    [Test]
    public void What_no_disk_holds_is_refused_with_the_folder_that_the_user_knows()
    {
        var folder = Path.Combine(Shared.Scratch(), "new.partial");
        Assert.That(() => FreeSpace.Require(folder, 1L << 60), Throws.TypeOf<UserErrorException>().With.Message.Contains("the result takes 1152921504.61 GB and " + Path.GetDirectoryName(folder)));
        Assert.That(() => FreeSpace.Require(folder, 1), Throws.Nothing);
    }

    // As some network and user-space file systems do, /proc answers statvfs with zeros, its size among them: what is free there is not known.
    [Test]
    [Platform("Linux")]
    public void A_file_system_that_keeps_no_count_is_tried()
    {
        Assume.That(new DriveInfo("/proc").TotalSize, Is.Zero);
        Assert.That(() => FreeSpace.Require("/proc/peftalign", 1L << 30), Throws.Nothing);
    }
}
