// Finds the folder `shared` with the large golden files and the real tokenizers; tests that need it are ignored without it.
using System.Text.Json;

namespace PeftAlign.Models.Tests.Text;

internal static class SharedFolder
{
    private static readonly string? Root = FindRoot();
    private static readonly Lazy<string[]> AllTexts = new(ReadTexts);

    /// <summary>A path in the folder; ignores the test where it is not there.</summary>
    public static string Path(string relative)
    {
        var path = Root is null ? null : System.IO.Path.Combine(Root, relative);
        if (path is null || (!File.Exists(path) && !Directory.Exists(path)))
            Assert.Ignore($"shared/{relative} is not there; set PEFTALIGN_SHARED to run this check");
        return path!;
    }

    /// <summary>A parsed golden file of golden/tokenizers.</summary>
    public static JsonElement Golden(string relative) =>
        JsonDocument.Parse(File.ReadAllBytes(Path("golden/tokenizers/" + relative))).RootElement;

    /// <summary>The texts that golden files refer to by index.</summary>
    public static string[] Texts => AllTexts.Value;

    private static string[] ReadTexts() =>
        [.. Golden("texts.json").GetProperty("texts").EnumerateArray().Select(row => row[1].GetString()!)];

    private static string? FindRoot()
    {
        if (Environment.GetEnvironmentVariable("PEFTALIGN_SHARED") is { Length: > 0 } given) return given;
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (!File.Exists(System.IO.Path.Combine(folder.FullName, "PeftAlign.sln"))) continue;
            for (var place = folder; place is not null && place.FullName.Length > 1; place = place.Parent)
            {
                var shared = System.IO.Path.Combine(place.FullName, "shared");
                if (Directory.Exists(System.IO.Path.Combine(shared, "golden"))) return shared;
            }
        }
        return null;
    }
}
