// The walk-throughs of docs/plugins.md, followed to the letter outside the tree, in both languages: a new plugin of each kind is made,
// tested, packed and installed, and the manifests that the page shows run with it.

using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace PeftAlign.Host.Tests;

public partial class WalkThroughTests
{
    private static readonly string Page = File.ReadAllText(Path.Combine(Checkout.Root, "docs", "plugins.md"));

    private string folder = null!;

    [SetUp]
    public void SetUp() => folder = Directory.CreateTempSubdirectory("peftalign-walk-").FullName;

    [TearDown]
    public void TearDown() => Directory.Delete(folder, recursive: true);

    // The heading of the page, the checks of the kit, the job that shows what came of it and what its files say.
    private static readonly (string Heading, int Checks, string Job, Action<string> Look)[] Kinds =
    [
        ("A method", 11, "train", job => Assert.That(Options(job)["method"]!["name"]!.ToString(), Does.EndWith("length_loss"))),
        ("An adapter", 13, "train", job => Assert.That(Json(job, "adapter/adapter_config.json")["target_modules"]!.ToJsonString(), Is.EqualTo("""["q_proj"]"""))),
        ("A merge strategy", 15, "merge", job => Assert.That(Directory.GetFiles(job, "*.safetensors", SearchOption.AllDirectories), Is.Not.Empty)),
        ("A benchmark", 10, "evaluate", job => Assert.That((int)Json(job, "results.json")["n-samples"]!["sums"]!["effective"]!, Is.EqualTo(5))),
        ("A judge", 9, "evaluate", job => Assert.That((double)Json(job, "results.json")["results"]!["reward"]!["reward,none"]!, Is.InRange(-0.81, -0.1))),
        ("A quantisation", 13, "train", job => Assert.That(Options(job)["adapter"]!["quantization"]!["name"]!.ToString(), Does.EndWith("row_codes"))),
        ("An architecture", 11, "make-model", job => Assert.That((Json(job, "model/config.json")["model_type"]!.ToString(), Json(job, "model/config.json")["architectures"]!.ToJsonString()), Is.EqualTo(("ungated", """["UngatedForCausalLM"]""")))),
        ("A reader", 13, "train", job => Assert.That((int)Json(job, "ledger.json")["rows"]!, Is.GreaterThan(0))),
    ];

    private static IEnumerable<TestCaseData> Walks() =>
        from kind in Kinds
        from language in new[] { "cs", "fs" }
        select new TestCaseData(kind.Heading, language);

    [Test]
    public void Every_kind_of_the_page_is_walked() =>
        Assert.That(Headings().Matches(Page.Split("## One of each")[1].Split("\n## ")[0]).Select(m => m.Groups[1].Value), Is.EqualTo(Kinds.Select(kind => kind.Heading)));

    [TestCaseSource(nameof(Walks))]
    public void The_page_is_followed(string heading, string language)
    {
        if (Environment.GetEnvironmentVariable("PEFTALIGN_SLOW") != "1") Assert.Ignore("slow: PEFTALIGN_SLOW=1 or ./test --slow runs it");
        var (_, checks, kind, look) = Kinds.Single(one => one.Heading == heading);
        var part = Page.Split($"### {heading}\n")[1].Split("\n##")[0];
        var words = Made().Match(part).Groups;
        var (name, home) = (words[2].Value, Path.Combine(folder, words[2].Value));
        Product.Run(folder, 0, folder, Product.Host, "plugins", "new", words[1].Value, name, "--lang", language);
        Product.Run(folder, 0, home, "dotnet", "build", "-nodeReuse:false", "-warnaserror");
        Assert.That(Product.Run(folder, 0, home, "dotnet", "test", "--no-build"), Does.Match($"Passed: +{checks},"));
        Product.Run(folder, 0, home, Product.Host, "plugins", "pack", "--out", Path.Combine(folder, "own.peftplugin"));
        Product.Run(folder, 0, folder, Product.Host, "plugins", "add", "own.peftplugin", "--plugins", "installed");
        var rows = Path.Combine(home, name, "conformance", "good.tsv");
        if (File.Exists(rows)) File.Copy(rows, Path.Combine(folder, "rows.tsv"));
        File.WriteAllText(Path.Combine(folder, "acme.yaml"), Over(Block(Page.Split("## One of each")[1]), Block(part)));
        Product.Run(folder, 0, folder, Product.Host, "run", "acme.yaml", "--plugins", "installed", "--threads", "1");
        var jobs = Directory.GetDirectories(Path.Combine(folder, "out", "acme", "jobs")).Where(job => (string?)Json(job, "job.json")["kind"] == kind).ToList();
        Assert.That(jobs, Is.Not.Empty);
        foreach (var job in jobs) look(job);
    }

    private static string Block(string text) => text.Split("```yaml\n")[1].Split("```")[0];

    // The example's sections in the place of the same ones.
    private static string Over(string whole, string example)
    {
        var sections = Sections(whole);
        foreach (var (key, text) in Sections(example)) sections[key] = text;
        return string.Concat(sections.Values);
    }

    private static Dictionary<string, string> Sections(string text) =>
        TopLevel().Matches(text).ToDictionary(section => section.Groups[1].Value, section => section.Value);

    private static JsonNode Json(string job, string file) => JsonNode.Parse(File.ReadAllText(Path.Combine(job, file)))!;

    private static JsonNode Options(string job) => Json(job, "job.json")["options"]!;

    [GeneratedRegex(@"(?m)^### (.+)$")]
    private static partial Regex Headings();

    [GeneratedRegex(@"`plugins new ([a-z]+) (Acme\.\w+) \[--lang fs\]`")]
    private static partial Regex Made();

    [GeneratedRegex(@"(?m)^([a-z]+):.*\n(?:[ ].*\n)*")]
    private static partial Regex TopLevel();
}
