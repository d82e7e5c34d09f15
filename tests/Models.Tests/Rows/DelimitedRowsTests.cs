// Separated values from files and from texts: one reader, the same rows.

using PeftAlign.Abstractions;
using PeftAlign.Models.Rows;
using PeftAlign.Models.Tests.Checkpoints;

namespace PeftAlign.Models.Tests.Rows;

internal sealed class DelimitedRowsTests
{
    [TestCase("a,b\n1,\n\n ,\"x\"\n", "1:a|b;2:1|;4: |x")]
    [TestCase("\"a,b\",\"say \"\"x\"\"\",\"\"\nno end", "1:a,b|say \"x\"|;2:no end")]
    [TestCase("a\"b,\"c\" d\n", "1:a\"b|c d")]
    [TestCase("\"two\nlines\",x\ny,z\n", "1:two\nlines|x;3:y|z")]
    [TestCase("a,b\r\n\r\nc,d\r\n", "1:a|b;3:c|d")]
    [TestCase("\"\",\"\" \"x\",\"a\"b\"c,\"\"\"\",\"a\"\"\nb\"\"\"c\n", "1:| \"x\"|ab\"c|\"|a\"\nb\"c")]
    [TestCase("\"a\"\",\"\"\n\"\n,\n", "1:a\",\"\n;3:|")]
    public void A_file_and_a_text_have_the_same_rows(string text, string expected)
    {
        var file = Path.Combine(Shared.Scratch(), "rows.csv");
        File.WriteAllText(file, text);
        Assert.That(Shown(DelimitedRows.OfFile(file, ',', quotes: true)), Is.EqualTo(expected));
        Assert.That(Shown(DelimitedRows.OfText(text, "rows")), Is.EqualTo(expected));
    }

    [Test]
    public void Without_quotes_a_quote_is_a_character() =>
        Assert.That(Shown(DelimitedRows.OfText("\"a\tb\"\n", "rows", '\t', quotes: false)), Is.EqualTo("1:\"a|b\""));

    [Test]
    public void Line_ends_within_quotes_of_a_text_stay_and_a_lone_carriage_return_ends_a_row() =>
        Assert.That(Shown(DelimitedRows.OfText("\"a\r\nb\",c\rd\n", "rows")), Is.EqualTo("1:a\r\nb|c;3:d"));

    [Test]
    public void A_quote_that_is_not_closed_is_told_with_its_line() =>
        Assert.That(() => DelimitedRows.OfText("a,b\nc,\"d\ne", "rows.csv").ToList(), Throws.InstanceOf<UserErrorException>().With.Message.Contains("rows.csv, line 2: a quote is not closed"));

    private static string Shown(IEnumerable<DelimitedRow> rows) => string.Join(';', rows.Select(row => $"{row.Line}:{string.Join('|', row.Values)}"));
}
