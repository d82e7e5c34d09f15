// RunFolder.Fill: a folder appears whole or not at all, and nothing else is touched.

using PeftAlign.Host.Running;
using PeftAlign.Merging;

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
    public void WhatKilledProcessesWereWritingGoesAndNothingElse()
    {
        Directory.CreateDirectory(Path.Combine(root, "deep", "adapter.partial-99999999"));
        string[] kept = ["deep", "deep/rows.jsonl", "model.gguf.part", "timing.json.1-5.part", "timing.json.99999999.part"]; // process 1 is at work
        foreach (var name in (string[])[.. kept[1..], "timing.json.99999999-5.part", $"result.json.{Environment.ProcessId}-1.part", "deep/rows.jsonl.99999999-12.part", "deep/adapter.partial-99999999/x"])
            File.WriteAllText(Path.Combine(root, name), "");
        RunFolder.DeletePartials(root);
        Assert.That(Entries(), Is.EqualTo(kept));
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

    // What a killed process left goes; what another works on stays, and so does what has another kind of name.
    [Test]
    public void WhatAKilledProcessLeftIsDeletedAndNothingElse()
    {
        var target = Path.Combine(root, "out");
        foreach (var name in (string[])["out.partial-7", "out.partial-8", $"out.partial-{Environment.ProcessId}", "out.partial-7b", "out.partial-", "other.partial-7"])
            File.WriteAllText(Path.Combine(Directory.CreateDirectory(Path.Combine(root, name)).FullName, "weights"), "1");
        Directory.CreateSymbolicLink(Path.Combine(root, "out.partial-9"), Path.Combine(root, "other.partial-7"));
        string[] others = ["other.partial-7", "other.partial-7/weights", "out", "out.partial-", "out.partial-/weights", "out.partial-7b", "out.partial-7b/weights", "out.partial-9"];
        using (PartialFolder.Hold(Path.Combine(root, "out.partial-8"), wait: false, out _))
            RunFolder.Fill(target, _ => PartialFolder.DeleteAbandoned(target)); // as another process would meanwhile
        Assert.That(Entries().Where(e => !e.StartsWith("out.partial-9/", StringComparison.Ordinal)), Is.EquivalentTo((string[])[.. others, "out.partial-8", "out.partial-8/weights"]));
        RunFolder.Fill(target, _ => { });
        Assert.That(Entries().Where(e => !e.StartsWith("out.partial-9/", StringComparison.Ordinal)), Is.EquivalentTo(others));
    }

    [Test]
    public void WhatCannotBeMadeIsAUsersMistakeWithoutTheTemporaryName()
    {
        var target = Path.Combine(root, "file.txt", "x");
        File.WriteAllText(Path.Combine(root, "file.txt"), "a file");
        Action[] tries = [() => NewFolder.Fill(target, _ => Assert.Fail("written")), () => NewFolder.Write(target, "text")];
        foreach (var made in tries)
            Assert.That(() => made(), Throws.InstanceOf<UserError>().With.Message.StartsWith($"--out {target}: cannot be made (").And.Message.Not.Contains(".part"));
        Assert.That(Entries(), Is.EqualTo((string[])["file.txt"]));
    }

    [Test]
    public void AnEmptyFolderIsFree()
    {
        Assert.That(() => NewFolder.ThrowIfTaken(root), Throws.Nothing);
        File.WriteAllText(Path.Combine(root, "a"), "");
        Assert.That(() => NewFolder.ThrowIfTaken(root), Throws.InstanceOf<UserError>().With.Message.Contains("is there and not empty"));
    }

    // A fault inside is none of the place's, and a full disk none of the user's.
    [Test]
    public void OnlyThePlaceIsTheUsers()
    {
        Assert.Throws<IOException>(() => NewFolder.Fill(Path.Combine(root, "x"), _ => throw new IOException("inside")));
        Assert.That(NewFolder.IsRefused(new IOException("No space left on device") { HResult = 28 }), Is.False);
    }

    private IEnumerable<string> Entries() => Directory.EnumerateFileSystemEntries(root, "*", SearchOption.AllDirectories).Select(e => Path.GetRelativePath(root, e)).Order(StringComparer.Ordinal);
}
