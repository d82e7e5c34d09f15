// A test whose name holds a control character that XML has not is reported by nobody: it is not run, and no count shows that.

using System.Text.RegularExpressions;

namespace PeftAlign.Architecture.Tests;

public sealed partial class TestNameTests
{
    [Test]
    public void Cases_of_control_characters_have_names_of_their_own()
    {
        var files = Directory.GetFiles(Path.Combine(Tree.Root, "tests"), "*.cs", SearchOption.AllDirectories).Where(file => !file.Contains("/obj/") && !file.Contains("/bin/")).ToList();
        var nameless = files.SelectMany(file => File.ReadLines(file).Where(IsNameless).Select(line => $"{Path.GetFileName(file)}: {line.Trim()}"));
        Assert.That(files, Has.Count.GreaterThan(200));
        Assert.That(nameless, Is.Empty, "give them a TestName");
    }

    [TestCase(@"    [TestCase(""a\u0001"")]", true)]
    [TestCase(@"    [TestCase(""a\x1c"", 1)]", true)]
    [TestCase(@"    [TestCase(""\\\u001F"")]", true)]
    [TestCase(@"    [TestCase(""a\\u0001"")]", false, Description = "a backslash and a u")]
    [TestCase(@"    [TestCase(""a\0\n\u0085\u00a0"")]", false, Description = "what NUnit writes as an escape, and what XML has")]
    [TestCase(@"    [TestCase(""a\u0001"", TestName = ""a"")]", false)]
    public void What_is_nameless(string line, bool isNameless) => Assert.That(IsNameless(line), Is.EqualTo(isNameless));

    private static bool IsNameless(string line) => Case().IsMatch(line) && !line.Contains("TestName", StringComparison.Ordinal) && !line.Contains("\"\"\"", StringComparison.Ordinal) && !line.Contains("@\"", StringComparison.Ordinal) && Control().IsMatch(line);

    [GeneratedRegex(@"^\s*\[TestCase\(")]
    private static partial Regex Case();

    // NUnit itself writes \0, \a, \b, \t, \n, \v, \f and \r as escapes.
    [GeneratedRegex(@"(?<!\\)(?:\\\\)*\\(?:u00(?:0[1-6efEF]|1[0-9a-fA-F])|x(?:0{0,3}[1-6efEF]|0{0,2}1[0-9a-fA-F])(?![0-9a-fA-F])|e)")]
    private static partial Regex Control();
}
