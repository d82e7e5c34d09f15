// One file from a folder and back.

using System.IO.Compression;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;

namespace PeftAlign.Plugins.Tests;

public class ArchiveTests
{
    private Workshop workshop = null!;
    private string file = null!;
    private PluginFolder source = null!;

    [SetUp]
    public void SetUp()
    {
        workshop = new Workshop();
        source = PluginFolder.Open(workshop.Install("Sample.Native"), PluginOrigin.Product);
        file = Path.Combine(workshop.Folder, "native.peftplugin");
        PluginArchive.Pack(source, file);
    }

    [TearDown]
    public void TearDown() => workshop.Dispose();

    [Test]
    public void WhatIsInstalledIsWhatWasBuilt()
    {
        var target = Path.Combine(workshop.Folder, "elsewhere");
        var (plugin, wasThere) = PluginArchive.Install(file, target);
        Assert.That((plugin.Path, wasThere), Is.EqualTo((Path.Combine(target, "sample.native"), false)));
        Assert.That(plugin.Verify(), Is.Empty);
        Assert.That(PluginArchive.Install(file, target).WasThere, Is.True);
        Assert.That(Directory.GetFileSystemEntries(target), Has.Length.EqualTo(1), "nothing half-done is left");
    }

    [Test]
    public void EqualFoldersGiveEqualFiles()
    {
        var again = Path.Combine(workshop.Folder, "again.peftplugin");
        foreach (var part in Directory.GetFiles(source.Path)) File.SetLastWriteTimeUtc(part, new DateTime(2001, 2, 3));
        PluginArchive.Pack(source, again);
        Assert.That(File.ReadAllBytes(again), Is.EqualTo(File.ReadAllBytes(file)));
        // Two that are packed within two seconds, zip's clock's tick, would be equal by themselves.
        using var zip = ZipFile.OpenRead(file);
        Assert.That(zip.Entries.Select(entry => entry.LastWriteTime.DateTime), Is.All.EqualTo(new DateTime(1980, 1, 1)));
    }

    [Test]
    public void AChangedFolderIsNotPacked()
    {
        File.AppendAllText(Path.Combine(source.Path, "libsample_native.so"), "x");
        File.Delete(file);
        Assert.That(() => PluginArchive.Pack(source, file), Throws.TypeOf<PluginException>().With.Message.Contains("file 'libsample_native.so' is not the one that was built"));
        Assert.That(File.Exists(file), Is.False);
    }

    [TestCase("../escaped")]
    [TestCase(".hidden")]
    [TestCase("Sample")]
    public void AnIdThatIsNoFoldersNameIsRefused(string id)
    {
        Workshop.Rewrite(source.Path, manifest => manifest with { Id = id });
        PluginArchive.Pack(source with { Manifest = source.Manifest with { Id = id } }, file);
        var target = Path.Combine(workshop.Folder, "inside", "elsewhere");
        Assert.That(() => PluginArchive.Install(file, target), Throws.InstanceOf<PluginException>());
        Assert.That(Directory.GetFileSystemEntries(Path.GetDirectoryName(target)!, "*", SearchOption.AllDirectories), Is.EqualTo(new[] { target }), "nothing was installed");
    }

    [Test]
    public void AnotherVersionReplacesOnlyWhereAsked()
    {
        var target = Path.Combine(workshop.Folder, "elsewhere");
        PluginArchive.Install(file, target);
        Workshop.Rewrite(source.Path, manifest => manifest with { Version = "2.0.0" });
        PluginArchive.Pack(PluginFolder.Open(source.Path, PluginOrigin.Product), file);
        Assert.That(Assert.Throws<PluginException>(() => PluginArchive.Install(file, target))!.Message, Does.Contain("already holds sample.native 0.1.0, and this is sample.native 2.0.0. Give --replace"));
        Assert.That(PluginArchive.Install(file, target, replace: true).Plugin.Manifest.Version, Is.EqualTo("2.0.0"));
        Assert.That(Directory.GetFileSystemEntries(target), Has.Length.EqualTo(1));
    }

    // A run that looks for its plugins meanwhile, like a kill, meets the one or the other.
    [Test]
    public void WhatIsReplacedIsNeverAway()
    {
        var (one, other) = (Path.Combine(workshop.Folder, "one"), Path.Combine(workshop.Folder, "other"));
        foreach (var folder in (string[])[one, other]) Directory.CreateDirectory(folder);
        if (!AtomicFile.TryExchange(one, other)) Assert.Ignore("the file system of temporary files cannot exchange two names in one step; there a replaced plugin is away for a moment");
        var (target, second) = (Path.Combine(workshop.Folder, "elsewhere"), file + ".second");
        PluginArchive.Install(file, target);
        Workshop.Rewrite(source.Path, manifest => manifest with { Version = "2.0.0" });
        PluginArchive.Pack(PluginFolder.Open(source.Path, PluginOrigin.Product), second);
        var installed = Path.Combine(target, source.Manifest.Id);
        var (away, isOver) = (0, false);
        var watch = new Thread(() =>
        {
            while (!Volatile.Read(ref isOver))
                if (!Directory.Exists(installed)) away++;
        });
        watch.Start();
        try
        {
            for (var k = 0; k < 40; k++) PluginArchive.Install(k % 2 == 0 ? second : file, target, replace: true);
        }
        finally
        {
            Volatile.Write(ref isOver, true);
            watch.Join();
        }
        Assert.That(away, Is.Zero);
        Assert.That(Directory.GetFileSystemEntries(target), Is.EqualTo((string[])[installed]));
    }

    [Test]
    public void AFileOfAManifestIsUnpackedOnce()
    {
        var cache = Path.Combine(workshop.Folder, "cache");
        var first = PluginArchive.Open(file, cache);
        File.SetLastWriteTimeUtc(Path.Combine(first.Path, "plugin.json"), new DateTime(2001, 2, 3));
        var second = PluginArchive.Open(file, cache);
        Assert.That((second.Path, second.Origin), Is.EqualTo((first.Path, PluginOrigin.File)));
        Assert.That(File.GetLastWriteTimeUtc(Path.Combine(second.Path, "plugin.json")), Is.EqualTo(new DateTime(2001, 2, 3)));
    }

    [Test]
    public void ASpoiltCacheIsUnpackedAgain()
    {
        var cache = Path.Combine(workshop.Folder, "cache");
        var first = PluginArchive.Open(file, cache);
        File.AppendAllText(Path.Combine(first.Path, "libsample_native.so"), "x");
        Assert.That(PluginArchive.Open(file, cache).Verify(), Is.Empty);
    }

    [Test]
    public void ManyProcessesMayUnpackAtOnce()
    {
        var cache = Path.Combine(workshop.Folder, "cache");
        var opened = Enumerable.Range(0, 8).AsParallel().WithDegreeOfParallelism(8).Select(_ => PluginArchive.Open(file, cache).Path).Distinct().ToArray();
        Assert.That(opened, Has.Length.EqualTo(1));
        Assert.That(Directory.GetDirectories(Path.GetDirectoryName(opened[0])!), Has.Length.EqualTo(1), "no stage is left");
    }

    [Test]
    public void AFileThatIsNoArchiveIsRefused()
    {
        File.WriteAllText(file, "text");
        Assert.That(Assert.Throws<PluginException>(() => PluginArchive.Install(file, workshop.Folder))!.Message, Does.Contain("cannot be read as a plugin's file"));
        Assert.That(Assert.Throws<PluginException>(() => PluginArchive.Open(file + "x", workshop.Folder))!.Message, Does.Contain("there is no such file"));
    }

    [Test]
    public void ANativeLibraryTravelsAndIsFound()
    {
        var plugin = PluginArchive.Open(file, Path.Combine(workshop.Folder, "cache"));
        var catalogue = new PluginCatalogue([plugin], []);
        var row = catalogue.Create<IDatasetReader>("words", new() { ["question"] = 2 }, Workshop.Context).Read(null).Single();
        Assert.That(row.Fields["answer"]!.GetValue<int>(), Is.EqualTo(3));
    }

    [Test]
    public void PluginJsonTellsAliasesTraitsAndWhatAnOptionNames()
    {
        var provides = source.Manifest.Provides;
        Assert.That((provides[1].Name, provides[1].Alias, provides[0].Traits[0]), Is.EqualTo(("answers", """{ "type": "words", "question": 41 }""", "native")));
        var log = provides[0].Options.Find("log")!;
        Assert.That((log.Names, log.Recorded, log.OnlyWith, log.Type.ToString()), Is.EqualTo(("path", true, "question=2|3", "string?")));
    }

    [Test]
    public void AnOptionThatNamesAJudgeKnowsItsTraitsAndOpensNothing()
    {
        var options = new JsonObject { ["one"] = new JsonObject { ["name"] = "sample.native/grader" }, ["several"] = new JsonArray(new JsonObject { ["name"] = "grader" }, new JsonObject { ["name"] = "words" }, new JsonObject()) };
        var rows = new PluginCatalogue([source], []).Create<IDatasetReader>("about", options, Workshop.Context).Read(null);
        Assert.That(rows.Select(row => (string)row.Fields["traits"]!), Is.EqualTo(new[] { "speaks", "", "", "speaks" }));
    }

    [TestCase("grader", "picky reads a judge's logits, but the judge grader is a language model")]
    [TestCase("words", null)]
    public void AJudgeThatGradesIsRefusedWhereLogitsAreRead(string judge, string? refusal)
    {
        var options = new JsonObject { ["judge"] = new JsonObject { ["name"] = judge } };
        Assert.That(() => new PluginCatalogue([source], []).Create<IDatasetReader>("picky", options, Workshop.Context), refusal is null ? Throws.Nothing : Throws.InstanceOf<UserErrorException>().With.Message.StartsWith(refusal));
    }

    [Test]
    public void AnOptionThatMeansNothingHereIsAFault()
    {
        var options = source.Manifest.Provides[0].Options;
        Assert.That(options.Check(new() { ["log"] = "x", ["question"] = 3 }), Is.Empty);
        Assert.That(options.Check(new() { ["log"] = "x" }).Single().Message, Is.EqualTo("option 'log' means nothing with question 1; it goes with question 2 or 3. Leave it out or change question."));
    }
}
