// Every YAML block of README and docs is executed: manifests are planned, configurations merged, claims answered. Blocks of pages that
// have tests of their own (PagesElsewhere) are theirs; a new block elsewhere needs a row here.

using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace PeftAlign.Host.Tests;

public sealed partial class DocumentedYamlTests
{
    private static readonly string Repository = SmallAdapter.Root;

    // The page, the test that executes its blocks.
    private static readonly (string Page, string Test)[] PagesElsewhere =
        [("manifest.md", "every example does what is said above it"), ("manifest-policies.md", "every example does what is said above it"), ("plugins.md", "The_page_is_followed"), ("from-lm-eval.md", "The_page_is_executed"), ("report.md", "The_claims_that_the_page_shows_are_answered")];

    private string folder = "";

    [SetUp]
    public void Make()
    {
        folder = Directory.CreateTempSubdirectory("peftalign-yaml-").FullName;
        var model = Path.Combine(Repository, "tests", "fixtures", "stories260K");
        foreach (var name in (string[])["base", "a", "judge", "ToxicityModel"])
        {
            Directory.CreateDirectory(At("models"));
            Directory.CreateSymbolicLink(At($"models/{name}"), model);
        }
        SmallAdapter.Write(At("adapters/lora1"));
        File.WriteAllText(At("rows.jsonl"), """{"prompt": "Say a.", "chosen": " a", "rejected": " b"}""" + "\n");
        Directory.CreateDirectory(At("data"));
        Directory.CreateDirectory(At("data/alpaca_eval"));
        File.Copy(Path.Combine(Repository, "experiments", "tiny", "alpaca_eval.json"), At("data/alpaca_eval/instructions_805.json"));
        Directory.CreateDirectory(At("runs/coh"));
        File.WriteAllText(At("runs/coh/samples_winrate.jsonl"), "");
    }

    [TearDown]
    public void Drop() => Directory.Delete(folder, recursive: true);

    private string At(string name) => Path.Combine(folder, name);

    private static List<(string Page, string Text)> Blocks() =>
        [.. Directory.GetFiles(Path.Combine(Repository, "docs"), "*.md").Append(Path.Combine(Repository, "README.md")).Order(StringComparer.Ordinal)
            .SelectMany(file => Fence().Matches(File.ReadAllText(file)).Select(m => (Path.GetFileName(file), m.Groups[1].Value)))];

    private static string Block(string page, string start) => Blocks().Single(b => b.Page == page && b.Text.StartsWith(start, StringComparison.Ordinal)).Text;

    [Test]
    public void No_block_is_left_out()
    {
        (string Page, string Start)[] here = [("judges.md", "judges:"), ("judges.md", "with:"), ("merging.md", "merge_method:"), ("merging.md", "merge:")];
        var left = Blocks().Where(b => !PagesElsewhere.Any(p => p.Page == b.Page) && !here.Any(h => h.Page == b.Page && b.Text.StartsWith(h.Start, StringComparison.Ordinal)));
        Assert.That(left.Select(b => $"{b.Page}: {b.Text.Split('\n')[0]}"), Is.Empty);
        var sources = Directory.GetFiles(Path.Combine(Repository, "tests"), "*.?s", SearchOption.AllDirectories).Select(File.ReadAllText).ToList();
        foreach (var (page, test) in PagesElsewhere)
            Assert.That(sources.Any(text => text.Contains(page, StringComparison.Ordinal) && (text.Contains($" {test}(", StringComparison.Ordinal) || text.Contains($"``{test}``", StringComparison.Ordinal))), $"{page}: {test}");
    }

    private Dictionary<string, int> Planned(string sections)
    {
        File.WriteAllText(At("m.yaml"), """
            peftalign: 1
            name: page
            seeds: [1]
            models: { taught: { path: models/base } }
            adapters: { small: { type: lora, rank: 2 } }
            methods:
              tune: { type: dpo, adapter: small, max_steps: 1 }
              reward: { type: reward, max_steps: 1 }

            """ + sections);
        var plan = JsonNode.Parse(Product.Run(folder, 0, folder, Product.Host, "run", "m.yaml", "--out", "out", "--dry-run", "--json"))!;
        return plan["counts"]!.AsObject().ToDictionary(kind => kind.Key, kind => (int)kind.Value!);
    }

    private const string Pairs = "datasets: { prompts: { reader: jsonl, path: rows.jsonl } }\ntrain: [{ models: taught, datasets: prompts, methods: [tune, reward] }]\n";

    [Test]
    public void Judges_and_what_asks_them()
    {
        var asked = Block("judges.md", "with:").Replace("with:\n  - ", "evaluate:\n  - of: { method: tune }\n    with:\n    - ", StringComparison.Ordinal).Replace("\n  - {", "\n    - {", StringComparison.Ordinal);
        var counts = Planned(Pairs + Block("judges.md", "judges:") + asked + "    - { type: reward, dataset: prompts, judge: toxicity }\n    - { name: by-local, type: winrate, dataset: prompts, judge: local }\n");
        Assert.That(counts, Is.EquivalentTo(new Dictionary<string, int> { ["train"] = 2, ["evaluate"] = 6, ["report"] = 1 }));
    }

    [Test]
    public void A_merge_of_a_manifest()
    {
        var counts = Planned("datasets: { one: { reader: jsonl, path: rows.jsonl }, two: { reader: synthetic, rows: 4 } }\ntrain: [{ models: taught, datasets: [one, two], methods: tune }]\n" + Block("merging.md", "merge:"));
        Assert.That(counts, Is.EquivalentTo(new Dictionary<string, int> { ["train"] = 2, ["merge"] = 1, ["report"] = 1 }));
    }

    [Test]
    public void A_configuration_of_mergekit()
    {
        var configuration = Block("merging.md", "merge_method:");
        File.WriteAllText(At("merge.yaml"), configuration);
        Product.Run(folder, 0, folder, Product.Host, "merge", "merge.yaml", "--out", "merged", "--threads", "1");
        Assert.That((string?)JsonNode.Parse(File.ReadAllText(At("merged/config.json")))!["torch_dtype"] ?? (string?)JsonNode.Parse(File.ReadAllText(At("merged/config.json")))!["dtype"], Is.EqualTo("bfloat16"));
    }

    [GeneratedRegex("```yaml\n(.*?)```", RegexOptions.Singleline)]
    private static partial Regex Fence();
}
