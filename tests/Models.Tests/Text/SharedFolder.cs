// Finds the folder `shared` with all golden files and the real tokenizers. Without it the smaller golden files come from
// Fixtures, a copy with the same layout, and tests that need more are ignored.
using System.Text.Json;

namespace PeftAlign.Models.Tests.Text;

internal static class SharedFolder
{
    private static readonly string Repository = FindRepository();
    private static readonly string? Root = FindRoot();
    private static readonly Lazy<string[]> AllTexts = new(ReadTexts);

    /// <summary>A path in the folder or in Fixtures; ignores the test where it is in neither.</summary>
    public static string Path(string relative)
    {
        foreach (var root in new[] { Root, System.IO.Path.Combine(Repository, "tests/Models.Tests/Fixtures") })
        {
            var path = System.IO.Path.Combine(root ?? "", relative);
            if (root is not null && (File.Exists(path) || Directory.Exists(path))) return path;
        }
        Assert.Ignore($"shared/{relative} is not there; set PEFTALIGN_SHARED to run this check");
        return "";
    }

    /// <summary>A parsed golden file of golden/tokenizers.</summary>
    public static JsonElement Golden(string relative) =>
        JsonDocument.Parse(File.ReadAllBytes(Path("golden/tokenizers/" + relative))).RootElement;

    /// <summary>The texts that golden files refer to by index.</summary>
    public static string[] Texts => AllTexts.Value;

    private static string[] ReadTexts() =>
        [.. Golden("texts.json").GetProperty("texts").EnumerateArray().Select(row => row[1].GetString()!)];

    private static string FindRepository()
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (!File.Exists(System.IO.Path.Combine(folder.FullName, "PeftAlign.sln")))
            folder = folder.Parent ?? throw new DirectoryNotFoundException("the tests must run inside the repository");
        return folder.FullName;
    }

    // PEFTALIGN_SHARED, or `shared` in or beside a folder above.
    private static string? FindRoot()
    {
        if (Environment.GetEnvironmentVariable("PEFTALIGN_SHARED") is { Length: > 0 } given) return given;
        for (var place = new DirectoryInfo(Repository); place is not null; place = place.Parent)
        {
            var shared = System.IO.Path.Combine(place.FullName, "shared");
            if (Directory.Exists(System.IO.Path.Combine(shared, "golden"))) return shared;
        }
        return null;
    }
}
