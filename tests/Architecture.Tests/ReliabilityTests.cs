// docs/reliability.md names tests: each of them exists, and the collection of broken files has as many as the page counts.

using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace PeftAlign.Architecture.Tests;

public sealed partial class ReliabilityTests
{
    private static readonly string Page = File.ReadAllText(Path.Combine(Tree.Root, "docs", "reliability.md"));

    [Test]
    public void Every_test_that_the_page_names_exists()
    {
        var sources = Directory.GetFiles(Path.Combine(Tree.Root, "tests"), "*.?s", SearchOption.AllDirectories).Where(file => !file.Contains("/obj/") && !file.Contains("/bin/")).Select(File.ReadAllText).ToList();
        var named = Page.Split('\n').Skip(4).SelectMany(line => Quoted().Matches(line)).Select(m => m.Groups[1].Value).Where(name => name.Contains('_') || name.Contains(' ') || char.IsUpper(name[0])).Where(name => !name.StartsWith("PEFTALIGN", StringComparison.Ordinal) && !name.StartsWith("./", StringComparison.Ordinal)).Distinct().ToList();
        Assert.That(named, Has.Count.GreaterThan(50));
        Assert.That(named.Where(name => !sources.Any(text => text.Contains($" {name}(", StringComparison.Ordinal) || text.Contains($"``{name}``", StringComparison.Ordinal))), Is.Empty);
    }

    [Test]
    public void The_collection_has_the_cases_that_the_page_counts()
    {
        var cases = Checkout.Reference("golden", "badfiles", "cases.jsonl");
        var groups = File.ReadLines(cases).Select(line => ((string)JsonNode.Parse(line)!["id"]!).Split('/')[0]).GroupBy(group => group).ToDictionary(group => group.Key, group => group.Count());
        var counted = Counts().Matches(Page).SelectMany(row => row.Groups[1].Value.Split(", ").Zip(row.Groups[2].Value.Split(", ").Select(int.Parse))).ToDictionary(pair => pair.First, pair => pair.Second);
        Assert.That(counted, Is.EquivalentTo(groups));
        Assert.That(Page, Does.Contain($"A collection of {groups.Values.Sum()} broken files"));
    }

    // Launchers and benches start programs alike.
    [Test]
    public void The_allocators_settings_stand_in_one_file()
    {
        var scripts = Directory.GetFiles(Tree.Root).Concat(((string[])["build", "bench", "native"]).SelectMany(folder => Directory.GetFiles(Path.Combine(Tree.Root, folder), "*", SearchOption.AllDirectories)))
            .Where(file => new FileInfo(file).Length < 100_000).Where(file => File.ReadAllText(file).Contains("MALLOC_TOP_PAD_=", StringComparison.Ordinal)).Select(file => Path.GetRelativePath(Tree.Root, file));
        Assert.That(scripts, Is.EqualTo((string[])["build/allocator.sh"]));
        foreach (var user in (string[])["peftalign", "bench/kernels/run", "bench/attention/run", "src/Host/Commands/PublishCommand.cs"])
            Assert.That(File.ReadAllText(Path.Combine(Tree.Root, user)), Does.Contain("/build/allocator.sh\"\n").And.Not.Contain("MALLOC_"), user);
    }

    [GeneratedRegex("`([^`]+)`")]
    private static partial Regex Quoted();

    [GeneratedRegex(@"(?m)^\| ([a-z]+(?:, [a-z]+)*) \| (\d+(?:, \d+)*) \|")]
    private static partial Regex Counts();
}
