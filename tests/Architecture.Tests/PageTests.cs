// README and docs are pages for people: each begins with its heading, and its links lead to a file and, where they say so, to a heading.

using System.Text.RegularExpressions;

namespace PeftAlign.Architecture.Tests;

public sealed partial class PageTests
{
    private static IEnumerable<string> Pages() => [Path.Combine(Tree.Root, "README.md"), .. Directory.GetFiles(Path.Combine(Tree.Root, "docs"), "*.md").Order(StringComparer.Ordinal)];

    private static IEnumerable<TestCaseData> Each() => Pages().Select(page => new TestCaseData(page).SetArgDisplayNames(Path.GetFileName(page)));

    [TestCaseSource(nameof(Each))]
    public void A_page_begins_with_its_heading(string page) => Assert.That(File.ReadLines(page).First(), Does.Match("^# [A-Za-z0-9]"));

    [TestCaseSource(nameof(Each))]
    public void A_page_has_400_lines_at_most(string page) => Assert.That(File.ReadLines(page).Count(), Is.LessThanOrEqualTo(400));

    [TestCaseSource(nameof(Each))]
    public void Its_links_lead_somewhere(string page)
    {
        var links = Links().Matches(Blocks().Replace(File.ReadAllText(page), "")).Select(m => m.Groups[1].Value).Where(link => !link.Contains("://", StringComparison.Ordinal));
        Assert.Multiple(() =>
        {
            foreach (var link in links)
            {
                var (path, heading) = (link.Split('#')[0], link.Split('#').ElementAtOrDefault(1));
                var target = path.Length == 0 ? page : Path.Combine(Path.GetDirectoryName(page)!, path);
                Assert.That(Path.Exists(target), link);
                if (heading is not null && File.Exists(target)) Assert.That(File.ReadLines(target).Where(line => line.StartsWith('#')).Select(Anchor), Has.Some.EqualTo(heading), link);
            }
        });
    }

    [Test]
    public void There_are_pages_with_links() => Assert.That(Pages().Count(page => Links().IsMatch(File.ReadAllText(page))), Is.GreaterThan(5));

    private static string Anchor(string heading) => Unspoken().Replace(heading.TrimStart('#').Trim().ToLowerInvariant(), "").Replace(' ', '-');

    [GeneratedRegex(@"\]\(([^)\s]+)\)")]
    private static partial Regex Links();

    [GeneratedRegex("(?ms)^ *```.*?^ *```")]
    private static partial Regex Blocks();

    [GeneratedRegex(@"[^\w\- ]")]
    private static partial Regex Unspoken();
}
