// Literals that templates of tasks print: what is one, and what stays a text.

using PeftAlign.Eval.Tasks;

namespace PeftAlign.Eval.Tests;

public sealed class PythonLiteralTests
{
    [TestCase("[1, -2.5, 'a']", """[1,-2.5,"a"]""")]
    [TestCase(" ['it\\'s', True, None] ", """["it\u0027s",true,null]""")]
    [TestCase("1e3", "1000")]
    public void What_python_reads(string text, string json)
    {
        Assert.That(PythonLiteral.TryParse(text, out var value), Is.True);
        Assert.That(value!.ToJsonString(), Is.EqualTo(json));
    }

    [TestCase("1e999")]
    [TestCase("[1, -1e999]")]
    [TestCase("Infinity")]
    [TestCase("NaN")]
    [TestCase("[1, 2")]
    [TestCase("a b")]
    public void What_no_result_could_hold_or_nobody_wrote_as_one(string text) => Assert.That(PythonLiteral.TryParse(text, out _), Is.False);
}
