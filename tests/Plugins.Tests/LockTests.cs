// The lock: written once, then compared; product plugins by the product's version, others by content.

namespace PeftAlign.Plugins.Tests;

public class LockTests
{
    private Workshop workshop = null!;
    private PluginFolder words = null!;
    private PluginFolder rows = null!;

    private string Manifest => Path.Combine(workshop.Folder, "study.yaml");

    private string Lock => Path.Combine(workshop.Folder, "study.lock.json");

    [SetUp]
    public void SetUp()
    {
        workshop = new Workshop();
        words = PluginFolder.Open(workshop.Install("Sample.Words"), PluginOrigin.Installed);
        rows = PluginFolder.Open(workshop.Install("Sample.Rows"), PluginOrigin.Product);
    }

    [TearDown]
    public void TearDown() => workshop.Dispose();

    private string Apply(bool update = false, string version = "0.1.0", params PluginFolder[] plugins) =>
        PluginLock.Apply(Manifest, Path.Combine(workshop.Folder, "out"), plugins.Length == 0 ? [words, rows] : plugins, version, update);

    private void ChangeWords()
    {
        Workshop.Rewrite(words.Path, manifest => manifest with { Version = "1.5.0" });
        words = PluginFolder.Open(words.Path, PluginOrigin.Installed);
    }

    [Test]
    public void TheFirstRunWritesItAndTheNextKeepsIt()
    {
        Assert.That(Apply(), Is.EqualTo(Lock));
        var text = File.ReadAllText(Lock);
        Assert.That(text, Does.Contain("\"source\": \"product\"").And.Contain(PluginFolder.Sha256(Path.Combine(words.Path, "plugin.json"))));
        File.SetLastWriteTimeUtc(Lock, new DateTime(2001, 2, 3));
        Apply();
        Assert.That(File.GetLastWriteTimeUtc(Lock), Is.EqualTo(new DateTime(2001, 2, 3)));
    }

    [Test]
    public void AnotherContentIsRefusedUntilAllowed()
    {
        Apply();
        ChangeWords();
        var message = Assert.Throws<PluginException>(() => Apply())!.Message;
        Assert.That(message, Does.StartWith($"{Lock}: plugin sample.words is locked to 1.4.2 (sha256 ").And.Contain("but found is 1.5.0").And.EndWith("give --update-lock to take what is found."));
        Apply(update: true);
        Assert.DoesNotThrow(() => Apply());
    }

    [Test]
    public void AnotherProductIsRefusedUntilAllowed()
    {
        Apply();
        Assert.That(Assert.Throws<PluginException>(() => Apply(version: "0.2.0"))!.Message, Does.Contain("plugin sample.rows is locked to 0.1.0 of the product, but found is 0.2.0 of the product"));
    }

    [Test]
    public void APluginMoreOrLessIsTheManifestsOwnChange()
    {
        Apply(plugins: [rows]);
        Apply();
        Assert.That(File.ReadAllText(Lock), Does.Contain("sample.words"));
        Apply(plugins: [words]);
        Assert.That(File.ReadAllText(Lock), Does.Not.Contain("sample.rows"));
    }

    [Test]
    public void WhatIsNotKnownToBeAwayStaysLocked()
    {
        Apply();
        var whole = File.ReadAllText(Lock);
        PluginLock.Apply(Manifest, workshop.Folder, [rows], "0.1.0", update: false, keep: true);
        Assert.That(File.ReadAllText(Lock), Is.EqualTo(whole));
        ChangeWords();
        Assert.Throws<PluginException>(() => Apply());
    }

    [Test]
    public void DevelopmentFoldersAreNeverLocked()
    {
        Apply(plugins: [rows, words with { Origin = PluginOrigin.Development }]);
        Assert.That(File.ReadAllText(Lock), Does.Not.Contain("sample.words"));
    }

    [Test]
    public void WhereTheManifestCannotBeWrittenTheOutputFolderTakesIt()
    {
        var output = Path.Combine(workshop.Folder, "out");
        // Nothing can be created in /proc, whoever asks.
        var file = PluginLock.Apply("/proc/study.yaml", output, [rows], "0.1.0", false);
        Assert.That(file, Is.EqualTo(Path.Combine(output, "study.lock.json")));
        Assert.Throws<PluginException>(() => PluginLock.Apply("/proc/study.yaml", output, [rows], "0.2.0", false), "it is found there again");
    }

    [Test]
    public void ABrokenLockIsSaid()
    {
        File.WriteAllText(Lock, "{");
        Assert.That(Assert.Throws<PluginException>(() => Apply())!.Message, Does.Contain("is no lock file that can be read"));
    }
}
