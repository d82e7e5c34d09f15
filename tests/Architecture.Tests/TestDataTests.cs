// What tests compare with is kept small: whoever clones the repository waits for all of it. Large texts are packed (tests/Shared/Packed.cs),
// and numbers have the digits of their type.

namespace PeftAlign.Architecture.Tests;

public sealed class TestDataTests
{
    private const long Limit = 10_000_000;

    private static readonly string[] Code = [".cs", ".fs", ".csproj", ".fsproj"];

    [Test]
    public void What_lies_beside_the_tests_stays_below_ten_million_bytes()
    {
        var data = new DirectoryInfo(Path.Combine(Tree.Root, "tests")).EnumerateFiles("*", SearchOption.AllDirectories)
            .Where(file => !Code.Contains(file.Extension) && !file.FullName.Contains("/obj/", StringComparison.Ordinal) && !file.FullName.Contains("/bin/", StringComparison.Ordinal)).OrderByDescending(file => file.Length).ToList();
        Assert.That(data, Has.Count.GreaterThan(500));
        Assert.That(data.Sum(file => file.Length), Is.LessThan(Limit), "pack or shorten some; the largest are\n" + string.Join('\n', data.Take(10).Select(file => $"{file.Length} {Path.GetRelativePath(Tree.Root, file.FullName)}")));
    }
}
