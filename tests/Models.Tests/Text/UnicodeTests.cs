// The Unicode tables, by hand-picked characters whose properties the standard names.
using PeftAlign.Models.Text.Normalizers;
using PeftAlign.Models.Text.Unicode;

namespace PeftAlign.Models.Tests.Text;

public class UnicodeTests
{
    [TestCase('a', true, false, false)]
    [TestCase(0x4E2D, true, false, false)]
    [TestCase(0x10D4A, true, false, false)]     // Garay, Unicode 16
    [TestCase('7', false, true, false)]
    [TestCase(0x216B, false, true, false)]
    [TestCase(0x3000, false, false, true)]
    [TestCase(0x85, false, false, true)]
    [TestCase(0x200B, false, false, false)]     // zero width space is none
    [TestCase(0x378, false, false, false)]      // not assigned
    public void Classes_are_those_of_the_standard(int point, bool letter, bool number, bool space) => Assert.Multiple(() =>
    {
        Assert.That(UnicodeData.Is(point, UnicodeData.Letters), Is.EqualTo(letter));
        Assert.That(UnicodeData.Is(point, UnicodeData.Numbers), Is.EqualTo(number));
        Assert.That(UnicodeData.IsWhiteSpace(point), Is.EqualTo(space));
    });

    [Test]
    public void Categories_agree_with_the_runtime_where_it_knows_the_character()
    {
        var known = Enumerable.Range(0, 0x110000)
            .Where(point => System.Globalization.CharUnicodeInfo.GetUnicodeCategory(point) is var category
                && category != System.Globalization.UnicodeCategory.OtherNotAssigned
                && UnicodeData.CategoryBit(point) != 1u << (int)category).ToList();
        // The runtime may know a later version, in which a few characters moved; the great mass must agree.
        Assert.That(known, Has.Count.LessThan(6000));
        Assert.That(known.Where(point => point < 0x300), Is.Empty);
    }

    [TestCase("é", "e\u0301", "é", "e\u0301")]
    [TestCase("ﬁ①", "ﬁ①", "fi1", "fi1")]
    [TestCase("Å\u212B", "A\u030AA\u030A", "ÅÅ", "A\u030AA\u030A")]
    [TestCase("한", "\u1112\u1161\u11AB", "한", "\u1112\u1161\u11AB")]
    [TestCase("s\u0307\u0323", "s\u0323\u0307", "\u1E69", "s\u0323\u0307")]
    [TestCase("\u0958", "\u0915\u093C", "\u0915\u093C", "\u0915\u093C")]    // excluded from composition
    public void Normal_forms_are_those_of_the_standard(string text, string nfd, string nfkc, string nfkd) => Assert.Multiple(() =>
    {
        Assert.That(Form(text, false, false), Is.EqualTo(nfd));
        Assert.That(Form(text, true, true), Is.EqualTo(nfkc));
        Assert.That(Form(text, true, false), Is.EqualTo(nfkd));
    });

    [TestCase("Σ", "σ")]
    [TestCase("İ", "i\u0307")]
    [TestCase("ẞSTRASSE", "ßstrasse")]
    [TestCase("Ǆ", "ǆ")]
    public void Lower_case_is_by_character(string text, string lower) =>
        Assert.That(new LowercaseNormalizer().Apply(text), Is.EqualTo(lower));

    [TestCase("a\u0301b", new[] { 2, 3 })]
    [TestCase("\r\n\n", new[] { 2, 3 })]
    [TestCase("👨\u200D👩\u200D👧x", new[] { 8, 9 })]
    [TestCase("🇨🇭🇯🇵", new[] { 4, 8 })]
    [TestCase("각ᆨ가", new[] { 2, 3 })]
    public void Grapheme_clusters_end_where_the_standard_says(string text, int[] ends)
    {
        var found = new List<int>();
        for (var i = 0; i < text.Length;) found.Add(i = GraphemeBreaks.Next(text, i));
        Assert.That(found, Is.EqualTo(ends));
    }

    private static string Form(string text, bool compatibility, bool compose) =>
        new UnicodeFormNormalizer(compatibility, compose).Apply(text);
}
