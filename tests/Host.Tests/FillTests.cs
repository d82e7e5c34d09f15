// RunFolder.Fill: a folder appears whole or not at all, and nothing else is touched.

using PeftAlign.Host.Running;

namespace PeftAlign.Host.Tests;

public class FillTests
{
    private string root = "";

    [SetUp]
    public void Make() => root = Directory.CreateTempSubdirectory("peftalign-fill-").FullName;

    [TearDown]
    public void Remove() => Directory.Delete(root, recursive: true);

    [TestCase("out")]
    [TestCase("out/")]
    public void AFolderAppearsWhole(string name)
    {
        Directory.CreateDirectory(Path.Combine(root, "out.partial"));
        File.WriteAllText(Path.Combine(root, "out.partial", "notes.txt"), "the user's own");
        RunFolder.Fill(root + "/" + name, folder => File.WriteAllText(Path.Combine(folder, "a"), "1"));
        RunFolder.Fill(root + "/" + name, folder => File.WriteAllText(Path.Combine(folder, "b"), "2"));
        Assert.That(Entries(), Is.EqualTo((string[])["out", "out.partial", "out.partial/notes.txt", "out/b"]));
    }

    [Test]
    public void OfATryThatFailsNothingStaysAndTheOldFolderDoes()
    {
        var target = Path.Combine(root, "out");
        RunFolder.Fill(target, folder => File.WriteAllText(Path.Combine(folder, "a"), "1"));
        Assert.Throws<IOException>(() => RunFolder.Fill(target, folder =>
        {
            File.WriteAllText(Path.Combine(folder, "b"), "2");
            throw new IOException("disk full");
        }));
        Assert.That(Entries(), Is.EqualTo((string[])["out", "out/a"]));
        Directory.CreateDirectory(Path.Combine(target, "model.partial-7"));
        RunFolder.DeletePartials(target);
        Assert.That(Entries(), Is.EqualTo((string[])["out", "out/a"]));
    }

    private IEnumerable<string> Entries() => Directory.EnumerateFileSystemEntries(root, "*", SearchOption.AllDirectories).Select(e => Path.GetRelativePath(root, e)).Order(StringComparer.Ordinal);
}
