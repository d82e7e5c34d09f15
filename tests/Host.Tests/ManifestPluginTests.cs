// The section `plugins:` of a manifest on the assembled product: which plugins a run knows, the lock beside the manifest, and that a
// plugin which cannot be used stops only a run that needs it. The third party's plugin is a copy of the product's readers under
// another id; how one is made from nothing is PluginPathTests' matter.

using System.Text.Json.Nodes;

namespace PeftAlign.Host.Tests;

public class ManifestPluginTests
{
    private string folder = null!;
    private string installed = null!;
    private string theirs = null!;

    [SetUp]
    public void SetUp()
    {
        folder = Directory.CreateTempSubdirectory("peftalign-manifest-plugins-").FullName;
        installed = Path.Combine(folder, "installed");
        theirs = Copy("data", "acme.data");
        Describe(theirs, json => (json["id"], json["version"]) = ("acme.data", "1.4.0"));
    }

    [TearDown]
    public void TearDown() => Directory.Delete(folder, recursive: true);

    /// <summary>A copy of one of the product's plugins among the installed ones.</summary>
    private string Copy(string id, string name)
    {
        var target = Path.Combine(installed, name);
        Directory.CreateDirectory(target);
        foreach (var file in Directory.GetFiles(Path.Combine(Path.GetDirectoryName(Product.Host)!, "plugins", id))) File.Copy(file, Path.Combine(target, Path.GetFileName(file)));
        return target;
    }

    private static void Describe(string plugin, Action<JsonNode> change)
    {
        var file = Path.Combine(plugin, "plugin.json");
        var json = JsonNode.Parse(File.ReadAllText(file))!;
        change(json);
        File.WriteAllText(file, json.ToJsonString());
    }

    private void Manifest(string? plugins, string reader = "synthetic") => File.WriteAllText(Path.Combine(folder, "study.yaml"), $$"""
        peftalign: 1
        name: study
        seeds: [1]
        {{(plugins is null ? "" : $"plugins: [methods.sft, {plugins}]")}}
        models:
          tiny: { init: llama, set: { hidden_size: 16, intermediate_size: 32, num_hidden_layers: 1, num_attention_heads: 2, max_position_embeddings: 128 }, tokenizer: bytes }
        datasets:
          rows: { reader: {{reader}}, rows: 5 }
        methods:
          teach: { type: sft, learning_rate: 1.0e-3, batch_size: 2, max_steps: 1 }
        train:
          - { models: [tiny], datasets: [rows], methods: [teach] }
        """);

    private string Plan(int expected, params string[] more) => Product.Run(folder, expected, folder, Product.Host, ["run", "study.yaml", "--dry-run", .. more]);

    // Only the model is made: the lock is about what the whole plan needs.
    private string Run(int expected, params string[] more) => Product.Run(folder, expected, folder, Product.Host, ["run", "study.yaml", "--only", "make-model/*", "--plugins", installed, .. more]);

    private string Lock => File.ReadAllText(Path.Combine(folder, "study.lock.json"));

    [Test]
    public void WithoutTheSectionTheProductsOwnAreKnownAndNoOthers()
    {
        Manifest(null);
        Plan(0, "--plugins", installed);
        Manifest(null, "acme.data/synthetic");
        Assert.That(Plan(2, "--plugins", installed), Does.Contain("study.yaml:8:").And.Contain("no reader 'acme.data/synthetic' is provided by the plugins of this manifest"));
    }

    [TestCase("{ id: acme.data, version: '>=1.2 <2' }", null)]
    [TestCase("{ id: acme.data, version: '1.4.0' }", null)]
    [TestCase("{ id: acme.data, version: '>=1.2 <1.4' }", "study.yaml:4:24: plugins: plugin 'acme.data' has version 1.4.0; the manifest asks for >=1.2 <1.4")]
    [TestCase("{ id: acme.data, version: newest }", "'newest' is no range of versions; write it like '>=1.2 <2'")]
    [TestCase("acme.dta", "no plugin 'acme.dta' is installed; did you mean 'acme.data'")]
    [TestCase("{ path: nowhere }", "study.yaml:4:24: ")]
    [TestCase("{ file: nowhere.peftplugin }", "there is no such file")]
    [TestCase("acme.data, { path: installed/acme.data }", "plugin 'acme.data' is listed already, from another place; keep one of the entries")]
    public void AnEntryIsFoundOrSaidToBeMissing(string entry, string? fault)
    {
        Manifest(entry);
        Assert.That(Plan(fault is null ? 0 : 2, "--plugins", installed), fault is null ? Does.Contain("train/tiny/rows/teach") : Does.Contain(fault));
    }

    [Test]
    public void OneNameOfTwoPluginsIsResolvedByItsPlugin()
    {
        Manifest("data, acme.data");
        var own = Path.Combine(Path.GetDirectoryName(Product.Host)!, "plugins", "data");
        Assert.That(Plan(2, "--plugins", installed), Does.Contain(
            $"several plugins provide the reader 'synthetic': acme.data/synthetic in {theirs} and data/synthetic in {own}; write acme.data/synthetic or data/synthetic"));
        Manifest("data, acme.data", "acme.data/synthetic");
        Plan(0, "--plugins", installed);
    }

    [Test]
    public void TheLockKeepsWhatAStudyWasMadeWith()
    {
        Manifest("acme.data");
        Run(0);
        var first = Lock;
        Assert.That(first, Does.Contain("\"id\": \"acme.data\"").And.Contain("\"version\": \"1.4.0\"").And.Contain("\"sha256\"").And.Contain("\"source\": \"product\""));
        Describe(theirs, json => json["version"] = "1.5.0");
        Assert.That(Run(2), Does.Contain("study.lock.json: plugin acme.data is locked to 1.4.0 (sha256 ").And.Contain("but found is 1.5.0").And.Contain("--update-lock"));
        Assert.That(Lock, Is.EqualTo(first));
        Run(0, "--update-lock");
        Assert.That(Lock, Does.Contain("\"version\": \"1.5.0\""));
    }

    // Which plugin computes a model is not known while the model is away, and --only asks for no model of other jobs.
    [Test]
    public void AModelThatIsAwayTakesNothingOutOfTheLock()
    {
        var (tests, model, plugin) = (TestContext.CurrentContext.TestDirectory, Path.Combine(folder, "theirs"), Path.Combine(installed, "sample.starcoder2"));
        foreach (var (from, to) in ((string, string)[])[(Path.Combine(tests, "..", "..", "Sample.Starcoder2", Path.GetFileName(tests)), plugin), (JudgeCommandTests.Model("starcoder2"), model)])
        {
            Directory.CreateDirectory(to);
            foreach (var file in Directory.GetFiles(from)) File.Copy(file, Path.Combine(to, Path.GetFileName(file)));
        }
        Manifest("data, sample.starcoder2");
        var manifest = Path.Combine(folder, "study.yaml");
        File.WriteAllText(manifest, File.ReadAllText(manifest).Replace("  tiny:", "  theirs: { path: theirs }\n  tiny:").Replace("models: [tiny]", "models: [tiny, theirs]"));
        Run(0);
        var first = Lock;
        Assert.That(first, Does.Contain("sample.starcoder2"));
        Directory.Delete(model, recursive: true);
        Run(0);
        Assert.That(Lock, Is.EqualTo(first));
    }

    [Test]
    public void APathIsNeverLockedAndAFileIs()
    {
        Manifest("{ path: installed/acme.data }");
        Run(0);
        Assert.That(Lock, Does.Not.Contain("acme.data"));
        PeftAlign.Plugins.PluginArchive.Pack(PeftAlign.Plugins.PluginFolder.Open(theirs, PeftAlign.Plugins.PluginOrigin.Installed), Path.Combine(folder, "rows.peftplugin"));
        Directory.Delete(theirs, recursive: true);
        Manifest("{ file: rows.peftplugin }");
        Run(0);
        Assert.That(Lock, Does.Contain("acme.data").And.Contain("\"sha256\""));
    }

    // Every way in which a folder of the search path can be no plugin, beside a plugin that is whole.
    [Test]
    public void ABrokenPluginStopsOnlyARunThatNeedsIt()
    {
        Directory.CreateDirectory(Path.Combine(installed, "no-json"));
        File.WriteAllText(Path.Combine(Copy("eval", "corrupt"), "plugin.json"), "{ \"id\": ");
        File.AppendAllText(Path.Combine(Copy("peft.lora", "tampered"), "PeftAlign.Peft.Lora.dll"), "x");
        Describe(Path.Combine(installed, "tampered"), json => json["id"] = "acme.lora");
        Describe(Copy("methods.sft", "future"), json => (json["id"], json["apiLevel"]) = ("acme.sft", 99));
        Manifest("acme.data");
        Run(0);
        var list = Product.Run(folder, 0, folder, Product.Host, "plugins", "list", "--plugins", installed);
        Assert.That(list, Does.Contain("acme.data").And.Contain("acme.lora"));
        File.WriteAllText(Path.Combine(folder, "study.yaml"), File.ReadAllText(Path.Combine(folder, "study.yaml")).Replace("methods.sft", "acme.sft"));
        Assert.That(Product.Run(folder, 2, folder, Product.Host, "run", "study.yaml", "--plugins", installed),
            Does.Contain("Plugin acme.sft").And.Contain("ApiLevel 99, but this host serves").And.Not.Contain("failed: "), "found before a job starts");
    }
}
