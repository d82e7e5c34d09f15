// The table of bench in a page: `bench --write docs/performance.md` finds its place there and leaves everything else alone.

using PeftAlign.Host.Bench;

namespace PeftAlign.Host.Tests;

public sealed class BenchTableTests
{
    private const string Begin = "<!-- bench: written by `peftalign bench --write` -->\n", End = "\n<!-- /bench -->";

    private static readonly BenchTable Table = new([new Measurement("load", "a folder", new SideFigures([0.25, 0.5], 12), null)], "2026-01-01, a machine.");

    [Test]
    public void A_new_table_takes_the_place_of_the_pages_last_one()
    {
        var page = Path.Combine(Checkout.Root, "docs", "performance.md");
        var copy = Path.GetTempFileName();
        try
        {
            var before = File.ReadAllText(page);
            File.WriteAllText(copy, before);
            Table.Write(copy);
            var after = File.ReadAllText(copy);
            Assert.That(before.Split(Begin), Has.Length.EqualTo(2));
            Assert.That(after.Split(Begin)[0], Is.EqualTo(before.Split(Begin)[0]));
            Assert.That(after.Split(End)[1], Is.EqualTo(before.Split(End)[1]));
            Assert.That(after.Split(Begin)[1].Split(End)[0], Is.EqualTo(string.Join('\n', Table.Lines)).And.Contain("| load | a folder | 0.250 to 0.500 |"));
        }
        finally
        {
            File.Delete(copy);
        }
    }
}
