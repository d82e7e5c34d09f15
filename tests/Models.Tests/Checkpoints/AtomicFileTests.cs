// What a file would take the place of, as a glibc older than statx (2.28) says it: the newer ones have that call still.

namespace PeftAlign.Models.Tests.Checkpoints;

internal sealed class AtomicFileTests
{
    private const int Nothing = 0, CharacterDevice = 2, Folder = 4, Regular = 8; // of inode(7)

    [Test]
    public void AnOldLibrarySaysWhatAPathLeadsTo()
    {
        var folder = Directory.CreateTempSubdirectory("peftalign-kind-").FullName;
        try
        {
            var file = Path.Combine(folder, "file");
            File.WriteAllText(file, "");
            var link = File.CreateSymbolicLink(Path.Combine(folder, "link"), "/dev/null").FullName;
            string[] paths = [file, folder, "/dev/null", link, Path.Combine(folder, "none")];
            Assert.That(paths.Select(AtomicFile.KindByXstat), Is.EqualTo((int[])[Regular, Folder, CharacterDevice, CharacterDevice, Nothing]));
        }
        catch (EntryPointNotFoundException)
        {
            Assert.Ignore("this C library is none that had __xstat");
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
