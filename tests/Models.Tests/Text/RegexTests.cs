// The regular expression engine: against Oniguruma's cuts (Fixtures/regex.json), its errors, and its bounds.
using System.Text.Json;
using PeftAlign.Models.Text;
using PeftAlign.Models.Text.Patterns;
using PeftAlign.Models.Text.PreTokenizers;
using PeftAlign.Models.Text.Unicode;

namespace PeftAlign.Models.Tests.Text;

public class RegexTests
{
    [Test]
    public void Cuts_are_those_of_Oniguruma()
    {
        var rows = new GoldenRows();
        var golden = JsonDocument.Parse(File.ReadAllBytes(SharedFolder.Path("regex.json"))).RootElement;
        var texts = golden.GetProperty("texts").EnumerateArray().Select(text => text.GetString()!).ToList();
        foreach (var row in golden.GetProperty("rows").EnumerateArray())
            foreach (var (text, cuts) in texts.Zip(row[1].EnumerateArray()))
                rows.Same($"{row[0]} on '{text}'", GoldenRows.Offsets(cuts), Cut(RegexPattern.For(row[0].GetString()!), text));
        rows.Check();
    }

    [Test]
    public void Hand_written_scanners_cut_as_the_engine_does()
    {
        var rows = new GoldenRows();
        foreach (var source in KnownPatterns())
        {
            Assert.That(RegexPattern.For(source), Is.InstanceOf<ScannerPattern>());
            var (engine, scanner) = (new RegexPattern(source), RegexPattern.For(source));
            foreach (var text in SharedFolder.Texts) rows.Same($"{source} on '{text}'", Cut(engine, text), Cut(scanner, text));
        }
        rows.Check();
    }

    // How many code points a class holds, and a hash (FNV-1a) of all of them in order: Oniguruma's.
    [TestCase("[[:punct:]]", 9369, 0x17FCCC6Du)]
    [TestCase("[[:alpha:]]", 142759, 0xBCB791A4u)]
    [TestCase("[[:alnum:]]", 143519, 0x3BEAE2C8u)]
    [TestCase("[[:space:]]", 25, 0x884FD6D9u)]
    [TestCase("[[:graph:]]", 292447, 0xD756BAE0u)]
    [TestCase("[[:print:]]", 292464, 0x0950BF3Bu)]
    [TestCase("[[:cntrl:]]", 65, 0xBACC166Eu)]
    [TestCase("[[:upper:]]", 1978, 0x78AA5332u)]
    [TestCase("[[:lower:]]", 2569, 0x8192ABC0u)]
    [TestCase("[[:digit:]]", 760, 0xD46863ADu)]
    [TestCase("[[:xdigit:]]", 22, 0x7B117DA2u)]
    [TestCase("[[:blank:]]", 18, 0x485DD6C7u)]
    [TestCase("[[:word:]]", 144665, 0x0FF2B948u)]
    [TestCase("[[:ascii:]]", 128, 0x28D4A845u)]
    [TestCase(@"\p{Punct}", 855, 0x671CBEEEu)]
    [TestCase(@"\p{Upper}", 1978, 0x78AA5332u)]
    [TestCase(@"\p{Lowercase}", 2569, 0x8192ABC0u)]
    [TestCase(@"\p{Lu}", 1858, 0xBAC8A548u)]
    public void Classes_hold_the_code_points_of_Oniguruma(string source, int count, uint hash)
    {
        var position = 0;
        var parser = new RegexClassParser(source);
        var set = source[0] == '[' ? parser.ParseBracket(ref position, ignoreCase: false) : parser.ParseEscape(ref position, inBracket: false).Set!;
        var held = Enumerable.Range(0, 0x110000).Where(point => point is (< 0xD800 or > 0xDFFF) && set.Contains(point)).ToList();
        Assert.That((held.Count, held.Aggregate(2166136261u, (sum, point) => (sum ^ (uint)point) * 16777619u)), Is.EqualTo((count, hash)));
    }

    [TestCase("[[:alpha]b:]", "a:x", "a:")] // no class of that kind where a bracket closes before
    [TestCase("[[:^upper:]a]", "aAb", "ab")]
    public void What_looks_like_a_named_class_is_read_as_Oniguruma_reads_it(string source, string text, string held)
    {
        var position = 0;
        var set = new RegexClassParser(source).ParseBracket(ref position, ignoreCase: false);
        Assert.That(string.Concat(text.Where(c => set.Contains(c))), Is.EqualTo(held));
    }

    [TestCase("[[:nope:]]", "[:nope:]")]
    [TestCase("[[:L:]]", "[:L:]")]
    [TestCase("[[:Alpha:]]", "[:Alpha:]")]
    [TestCase("([", "class")]
    [TestCase("(a", "not closed")]
    [TestCase("a)", "parenthesis")]
    [TestCase("*a", "nothing to repeat")]
    [TestCase("a{3,2}", "empty")]
    [TestCase(@"\p{NoSuch}", "NoSuch")]
    [TestCase(@"(a)\1", "not supported")]
    [TestCase("[z-a]", "before it starts")]
    [TestCase("(?<=a+)b", "bounded")]
    [TestCase("(?:(?:ab){99}){999}", "20000")]
    [TestCase(@"\", "backslash")]
    public void Broken_patterns_are_refused_with_the_reason(string source, string reason) =>
        Assert.That(() => RegexPattern.For(source), Throws.TypeOf<FormatException>().With.Message.Contains(reason));

    [Test]
    public void Deep_nesting_is_refused() =>
        Assert.That(() => RegexPattern.For(new string('(', 5000)), Throws.TypeOf<FormatException>());

    [TestCase("(a+)+$", 'a', "!")]
    [TestCase("(a|a)*b", 'a', "")]
    [TestCase("(?:a*)*c", 'a', "!")]
    [TestCase(@"(?:\s*\s*)*x", ' ', "")]
    public void Patterns_that_explode_elsewhere_end_in_time(string source, char unit, string end)
    {
        var clock = ThreadTime.Start();
        try
        {
            Cut(RegexPattern.For(source), new string(unit, 2000) + end);
        }
        catch (TokenizerException e)
        {
            Assert.That(e.Message, Does.Contain(source));
        }
        Assert.That(clock.Elapsed, Is.LessThan(TimeSpan.FromSeconds(10)));
    }

    private static IEnumerable<string> KnownPatterns()
    {
        yield return Gpt2Scanner.Source;
        const string head = @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}";
        const string tail = @"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
        yield return head + "{1,3}" + tail;
        yield return head + tail;
    }

    // Pieces of Split(isolated), in code points.
    private static IEnumerable<(int, int)> Cut(Pattern pattern, string text)
    {
        var pool = new TextPool();
        var buffer = pool.Rent(false, 0);
        buffer.AppendOriginal(text, 0);
        var cut = new PreTokenized(buffer, text == "" ? [] : [new Piece(0, text.Length, -1, 0)]);
        new SplitPreTokenizer(pattern, SplitBehavior.Isolated, invert: false).Apply(cut, pool);
        var points = CodePoints.OffsetsByUnit(text) ?? [.. Enumerable.Range(0, text.Length + 1)];
        return cut.Pieces.Select(piece => (points[piece.Start], points[piece.End]));
    }
}
