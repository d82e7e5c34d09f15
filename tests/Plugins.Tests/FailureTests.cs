// Each way in which a plugin cannot be used has a message of its own, and the other plugins go on working.

using System.IO.Compression;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;

namespace PeftAlign.Plugins.Tests;

public class FailureTests
{
    private Workshop workshop = null!;
    private string words = null!;

    [SetUp]
    public void SetUp()
    {
        workshop = new Workshop();
        words = workshop.Install("Sample.Words");
        workshop.Install("Sample.Rows");
    }

    [TearDown]
    public void TearDown()
    {
        Environment.SetEnvironmentVariable("PEFTALIGN_TEST_REGISTER", null);
        workshop.Dispose();
    }

    private static IDatasetReader Words(PluginCatalogue catalogue, string name = "words", JsonObject? options = null) =>
        catalogue.Create<IDatasetReader>(name, options ?? [], Workshop.Context);

    /// <summary>The message of a plugin that fails, after the F# sample was found in good health beside it.</summary>
    private string Message(string name = "words", JsonObject? options = null)
    {
        var catalogue = workshop.Scan();
        var error = Assert.Throws<PluginException>(() => Words(catalogue, name, options))!;
        Assert.That(catalogue.Create<IBenchmark>("rows", [], Workshop.Context).Items().Count(), Is.EqualTo(3), "the others go on");
        return error.Message;
    }

    [Test]
    public void ATamperedFile()
    {
        File.AppendAllText(Path.Combine(words, "YamlDotNet.dll"), "x");
        Assert.That(Message(), Is.EqualTo($"Plugin sample.words in {words}: file 'YamlDotNet.dll' is not the one that was built (its SHA-256 differs). Install or build the plugin again; nothing of it was loaded."));
    }

    [Test]
    public void AnExtraFile()
    {
        Directory.CreateDirectory(Path.Combine(words, "more"));
        File.WriteAllText(Path.Combine(words, "more", "extra.dll"), "");
        Assert.That(Message(), Does.Contain("file 'more/extra.dll' does not belong to the plugin"));
    }

    [Test]
    public void AMissingFile()
    {
        File.Delete(Path.Combine(words, "YamlDotNet.dll"));
        Assert.That(Message(), Does.Contain("file 'YamlDotNet.dll' is missing"));
    }

    [Test]
    public void AMissingDependency()
    {
        File.Delete(Path.Combine(words, "YamlDotNet.dll"));
        Workshop.Rewrite(words, manifest => manifest);
        Assert.That(Message(), Does.Contain("a dependency is missing: YamlDotNet 16.0.0.0 is not in its folder").And.Contain(words));
    }

    [Test]
    public void AnApiLevelThatThisHostDoesNotServe()
    {
        var folder = workshop.Place("Sample.Future", "PeftAlign.Sample.Future.dll", [new ProvidedContract("reader", "future", 1, new OptionsSchema([]), "")]);
        Assert.That(Message("future"), Is.EqualTo(
            $"Plugin sample.future in {folder} cannot be used: plugin.json says ApiLevel 7, but this host serves {Api.Level}. Update PeftAlign, or take an older version of the plugin."));
    }

    [Test]
    public void AnApiLevelThatPluginJsonConceals()
    {
        var folder = workshop.Place("Sample.Future", "PeftAlign.Sample.Future.dll", [new ProvidedContract("reader", "future", 1, new OptionsSchema([]), "")]);
        Workshop.Rewrite(folder, manifest => manifest with { ApiLevel = Api.Level });
        Assert.That(Message("future"), Does.Contain($"PeftAlign.Sample.Future.dll says ApiLevel 7, but this host serves {Api.Level}"));
    }

    // What the build wrote is named where the folder around it is asked for.
    [Test]
    public void APluginsOwnFolderAsOneOfPlugins()
    {
        Assert.That(() => PluginSearch.Of(workshop.Folder, [words + "/"]), Throws.TypeOf<PluginException>()
            .With.Message.EqualTo($"--plugins {words}/: is one plugin's own folder. Name the folder that it lies in ({workshop.Folder})."));
        Assert.That(PluginSearch.Of("/nowhere", [workshop.Folder]).Scan().Failures, Is.Empty);
    }

    [Test]
    public void TwoPluginsOfOneId()
    {
        var second = workshop.Install("Sample.Words", "second");
        var catalogue = workshop.Scan();
        Assert.That(Words(catalogue).Read(null).First().Source, Is.EqualTo(words), "the first in the search path is used");
        Assert.That(catalogue.Failures.Single(), Is.EqualTo(new PluginFailure(second,
            $"Plugin sample.words in {second} is not used: {words} has the same id and comes first in the search path (product, then --plugins, then PEFTALIGN_PLUGINS). Remove one of them.")));
    }

    [Test]
    public void OneNameOfTwoPlugins()
    {
        var native = workshop.Install("Sample.Native");
        Assert.That(Message(), Is.EqualTo(
            $"The reader 'words' is provided by several plugins: sample.native/words in {native} and sample.words/words in {words}. Write sample.native/words or sample.words/words."));
        Assert.That(Words(workshop.Scan(), "sample.words/words").Read(null).First().Source, Is.EqualTo(words));
    }

    [Test]
    public void AThrowInRegister()
    {
        Environment.SetEnvironmentVariable("PEFTALIGN_TEST_REGISTER", "no licence found.");
        Assert.That(Message(), Is.EqualTo(
            $"Plugin sample.words in {words} cannot be used: registering failed with InvalidOperationException: no licence found. Ask its author, or leave the plugin out."));
    }

    [Test]
    public void AConstructorThatThrows() =>
        Assert.That(Message(options: new JsonObject { ["fail"] = true }), Is.EqualTo(
            $"Plugin sample.words in {Path.Combine(words, "PeftAlign.Sample.Words.dll")}: making the reader words failed with ArgumentException: asked to fail. Ask its author, or leave the plugin out."));

    [Test]
    public void AnOptionsTypeThatCannotBind()
    {
        workshop.Place("Sample.Unbindable", "PeftAlign.Sample.Unbindable.dll", [new ProvidedContract("reader", "unbindable", 1, new OptionsSchema([]), "")]);
        Assert.That(Message("unbindable"), Does.StartWith("Plugin sample.unbindable in").And.Contain("property 'Limit' is of type Microsoft.FSharp.Core.FSharpOption`1[System.Int32], which no option can have"));
    }

    [Test]
    public void AnOptionsTypeThatCannotBindFailsItsOwnBuild() =>
        Assert.That(Assert.Throws<PluginException>(() => ManifestBuilder.Build("sample.unbindable", "1.0", Path.Combine(Workshop.Output("Sample.Unbindable"), "PeftAlign.Sample.Unbindable.dll"), ""))!.Message,
            Does.Contain("property 'Limit'"));

    [Test]
    public void NoPluginJson()
    {
        File.Delete(Path.Combine(words, "plugin.json"));
        Assert.That(Message(), Does.StartWith("There is no reader 'words' among the known plugins.").And.Contain($"{words}: no plugin.json there, so it is no plugin."));
    }

    [TestCase("{ \"id\": ", "depth")]
    [TestCase("[]", "it is no JSON object")]
    [TestCase("{ \"id\": 3 }", "'id' is missing or no text")]
    public void ACorruptPluginJson(string text, string cause)
    {
        File.WriteAllText(Path.Combine(words, "plugin.json"), text);
        Assert.That(Message(), Does.Contain(Path.Combine(words, "plugin.json") + ": cannot be read as a plugin's description (").And.Contain(cause));
    }

    [TestCase("choices", "[null]", "'choices' holds something that is no text")]
    [TestCase("aliases", "\"r\"", "'aliases' is no list")]
    [TestCase("onlyWith", "\"nothing=1\"", "'onlyWith' of 'share' is 'nothing=1', not OPTION=VALUE or OPTION")]
    [TestCase("minimum", "\"low\"", "'minimum' is no number")]
    public void ADamagedOption(string field, string value, string cause)
    {
        var file = Path.Combine(words, "plugin.json");
        var json = JsonNode.Parse(File.ReadAllText(file))!;
        json["provides"]![0]!["options"]!.AsArray().First(option => (string?)option!["name"] == "share")![field] = JsonNode.Parse(value);
        File.WriteAllText(file, json.ToJsonString());
        Assert.That(Message(), Does.Contain($"{file}: cannot be read as a plugin's description ({cause})"));
    }

    [Test]
    public void AFileThatIsListedTwice()
    {
        var file = Path.Combine(words, "plugin.json");
        var json = JsonNode.Parse(File.ReadAllText(file))!;
        json["files"]!.AsArray().Add(json["files"]![0]!.DeepClone());
        File.WriteAllText(file, json.ToJsonString());
        Assert.That(Message(), Does.Contain($"{file}: cannot be read as a plugin's description ('files' lists '{json["files"]![0]!["path"]}' twice)"));
    }

    [Test]
    public void APluginJsonThatIsNotOfThisAssembly()
    {
        Workshop.Rewrite(words, manifest => manifest with { Provides = [manifest.Provides[0] with { ResultVersion = 9 }, manifest.Provides[1]] });
        Assert.That(Message(), Does.Contain("\"resultVersion\":9").And.Contain("but the assembly registers").And.Contain("\"resultVersion\":3"));
    }

    [Test]
    public void AnFSharpPluginWithItsOwnFSharpCore()
    {
        var folder = Path.Combine(workshop.Folder, "own.core");
        Directory.Move(Path.Combine(workshop.Folder, "sample.rows"), folder);
        var core = typeof(Microsoft.FSharp.Core.Unit).Assembly.Location;
        File.Copy(core, Path.Combine(folder, "FSharp.Core.dll"));
        Workshop.Rewrite(folder, manifest => manifest);
        var error = Assert.Throws<PluginException>(() => workshop.Scan().Create<IBenchmark>("rows", [], Workshop.Context))!;
        Assert.That(error.Message, Is.EqualTo(
            $"Plugin sample.rows in {folder} cannot be used: it ships its own FSharp.Core.dll, which every plugin shares with the host, so its types would not be the host's. Refer to FSharp.Core with ExcludeAssets=\"runtime\" and build again."));
    }

    [Test]
    public void AnAssemblyThatIsNone()
    {
        File.WriteAllText(Path.Combine(words, "PeftAlign.Sample.Words.dll"), "text");
        Workshop.Rewrite(words, manifest => manifest);
        Assert.That(Message(), Does.Contain("is no .NET assembly that can be read"));
    }

    [TestCase("../escaped.txt")]
    [TestCase("/tmp/peftalign-escaped.txt")]
    [TestCase("a/../../escaped.txt")]
    public void AnArchiveWithAPathThatLeavesItsFolder(string path)
    {
        var file = Path.Combine(workshop.Folder, "evil.peftplugin");
        PluginArchive.Pack(PluginFolder.Open(words, PluginOrigin.Product), file);
        using (var zip = ZipFile.Open(file, ZipArchiveMode.Update))
        {
            using var writer = new StreamWriter(zip.CreateEntry(path).Open());
            writer.Write("gotcha");
        }
        var target = Path.Combine(workshop.Folder, "installed");
        var error = Assert.Throws<PluginException>(() => PluginArchive.Install(file, target))!;
        Assert.That(error.Message, Is.EqualTo($"{file}: its entry '{path}' would be written outside the plugin's folder. Nothing was installed; do not trust this file."));
        Assert.That(Directory.GetFileSystemEntries(target), Is.Empty);
        Assert.That(Directory.GetFiles(workshop.Folder, "escaped.txt", SearchOption.AllDirectories), Is.Empty);
        Assert.That(File.Exists("/tmp/peftalign-escaped.txt"), Is.False);
    }

    [Test]
    public void AnUnknownNameIsSuggested() =>
        Assert.That(Message("wrods"), Is.EqualTo("There is no reader 'wrods' among the known plugins. Did you mean 'words'?"));

    [Test]
    public void WrongOptionsAreSaidBeforeAnythingIsLoaded()
    {
        Environment.SetEnvironmentVariable("PEFTALIGN_TEST_REGISTER", "loaded");
        Assert.That(Message(options: new JsonObject { ["share"] = 7, ["endign"] = "none" }), Is.EqualTo(
            "reader words: 2 faults.\n  option 'share' is 7; it must be more than 0 and at most 1.\n  unknown option 'endign'. Did you mean 'ending'?"));
    }
}
