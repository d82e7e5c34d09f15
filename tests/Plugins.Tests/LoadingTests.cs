// Real plugins, one in C# and one in F#, from their built folders to instances.

using System.Runtime.Loader;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;

namespace PeftAlign.Plugins.Tests;

public class LoadingTests
{
    private Workshop workshop = null!;

    [SetUp]
    public void SetUp() => workshop = new Workshop();

    [TearDown]
    public void TearDown() => workshop.Dispose();

    [Test]
    public void TheFolderHoldsOnlyWhatIsPrivate()
    {
        Assert.That(PluginFolder.FilesOf(Workshop.Built("Sample.Words")),
            Is.EqualTo(new[] { "PeftAlign.Sample.Words.deps.json", "PeftAlign.Sample.Words.dll", "YamlDotNet.dll" }));
        Assert.That(PluginFolder.FilesOf(Workshop.Built("Sample.Rows")), Is.EqualTo(new[] { "PeftAlign.Sample.Rows.deps.json", "PeftAlign.Sample.Rows.dll" }));
    }

    [Test]
    public void PluginJsonSaysWhatIsProvided()
    {
        var manifest = PluginFolder.Open(workshop.Install("Sample.Words"), PluginOrigin.Product).Manifest;
        Assert.That((manifest.Id, manifest.Version, manifest.ApiLevel, manifest.EntryAssembly), Is.EqualTo(("sample.words", "1.4.2", Api.Level, "PeftAlign.Sample.Words.dll")));
        Assert.That(manifest.Provides.Select(p => (p.Kind, p.Name, p.ResultVersion, p.Docs)),
            Is.EqualTo(new[] { ("reader", "words", 3, "Makes records from a list of words."), ("reader", "yaml-rows", 1, "A list of maps in YAML.") }));
        var options = manifest.Provides[0].Options;
        Assert.That(options.Options.Select(o => $"{o.Name} {o.Type}"),
            Is.EqualTo(new[] { "most int?", "words list<string>", "share double", "ending string", "field string", "weights map<double>", "extra json?", "fail bool", "large long" }));
        Assert.That(options.Find("vocabulary")!.Docs, Is.EqualTo("The words, in order; see Most."));
        Assert.That(options.Find("ending")!.Choices, Is.EqualTo(new[] { "none", "full_stop" }));
        Assert.That((options.Find("share")!.Minimum, options.Find("share")!.ExclusiveMinimum, options.Find("share")!.Maximum), Is.EqualTo((0, true, 1)));
        Assert.That(manifest.Provides[1].Options.Find("path"), Is.EqualTo(new OptionSchema("path", new OptionType(OptionKind.String), null)
        { Required = true, Names = "path", Docs = "The file.", Choices = manifest.Provides[1].Options.Find("path")!.Choices, Aliases = manifest.Provides[1].Options.Find("path")!.Aliases }));
        Assert.That(options.Find("large")!.Default!.ToJsonString(), Is.EqualTo("1099511627776"));
    }

    [Test]
    public void ACSharpPluginReadsItsOptionsAndItsFolder()
    {
        var folder = workshop.Install("Sample.Words");
        var options = JsonNode.Parse("""{ "vocabulary": ["red", "green", "blue"], "most": 2, "ending": "none", "field": "prompt", "weights": { "green": 3 }, "extra": { "deep": [1] } }""")!.AsObject();
        var rows = workshop.Scan().Create<IDatasetReader>("words", options, Workshop.Context).Read(null).ToArray();
        Assert.That(rows.Select(row => row.Fields.ToJsonString()),
            Is.EqualTo(new[] { """{"prompt":"red","weight":0.5,"extra":{"deep":[1]}}""", """{"prompt":"green","weight":3,"extra":{"deep":[1]}}""" }));
        Assert.That(rows[0].Source, Is.EqualTo(folder));
    }

    [Test]
    public void AnFSharpPluginSharesFSharpCoreWithTheHost()
    {
        workshop.Install("Sample.Rows");
        var benchmark = workshop.Scan().Create<IBenchmark>("sample.rows/rows", new JsonObject { ["task"] = "product" }, Workshop.Context);
        var items = benchmark.Items().ToArray();
        Assert.That(items.Select(item => benchmark.Requests(item)[0]).Cast<EvalRequest.LogLikelihood>().Select(request => request.Continuation), Is.EqualTo(new[] { "1", "4", "9" }));
        var scores = items.SelectMany((item, k) => benchmark.Score(item, [new EvalResponse(-1, 1, k == 0)])).ToArray();
        Assert.That(benchmark.Aggregate(scores)[0].Value, Is.EqualTo(1.0 / 3));
        var core = AppDomain.CurrentDomain.GetAssemblies().Where(assembly => assembly.GetName().Name == "FSharp.Core");
        Assert.That(core.Select(AssemblyLoadContext.GetLoadContext), Is.EqualTo(new[] { AssemblyLoadContext.Default }));
    }

    [Test]
    public void APrivateDependencyStaysPrivate()
    {
        workshop.Install("Sample.Words");
        var file = Path.Combine(workshop.Folder, "rows.yaml");
        File.WriteAllText(file, "- { prompt: a, completion: b }\n");
        var rows = workshop.Scan().Create<IDatasetReader>("yaml-rows", new() { ["path"] = file }, Workshop.Context).Read(null).ToArray();
        Assert.That(rows.Single().Fields.ToJsonString(), Is.EqualTo("""{"prompt":"a","completion":"b"}"""));
        var contexts = AppDomain.CurrentDomain.GetAssemblies().Where(assembly => assembly.GetName().Name == "YamlDotNet").Select(assembly => AssemblyLoadContext.GetLoadContext(assembly)!.Name);
        Assert.That(contexts, Has.None.EqualTo("Default").And.Contain("sample.words"));
    }

    [Test]
    public void ListsAndChecksLoadNothing()
    {
        var folder = workshop.Install("Sample.Words", "unloaded");
        var catalogue = workshop.Scan();
        Assert.That(catalogue.Find("reader", "words").QualifiedName, Is.EqualTo("sample.words/words"));
        Assert.That(catalogue.Find("reader", "words").Contract.Options.Check(new JsonObject { ["share"] = 2 }), Has.Count.EqualTo(1));
        Assert.That(AppDomain.CurrentDomain.GetAssemblies().Where(assembly => !assembly.IsDynamic && assembly.Location.StartsWith(folder, StringComparison.Ordinal)), Is.Empty);
    }
}
