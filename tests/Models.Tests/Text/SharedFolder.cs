// Finds the folder `shared` with all golden files and the real tokenizers. Without it the smaller golden files come from
// Fixtures, a copy with the same layout, and tests that need more are ignored.
using System.Text.Json;

namespace PeftAlign.Models.Tests.Text;

internal static class SharedFolder
{
    private static readonly Lazy<string[]> AllTexts = new(ReadTexts);

    /// <summary>A path in the folder or in Fixtures; ignores the test where it is in neither.</summary>
    public static string Path(string relative)
    {
        foreach (var root in new[] { Checkout.Shared, System.IO.Path.Combine(Checkout.Root, "tests/Models.Tests/Fixtures") })
        {
            if (root is not null && Packed.Find(System.IO.Path.Combine(root, relative)) is { } path) return path;
        }
        Assert.Ignore($"shared/{relative} is not there; set PEFTALIGN_SHARED to run this check");
        return "";
    }

    /// <summary>A parsed golden file of golden/tokenizers.</summary>
    public static JsonElement Golden(string relative) =>
        JsonDocument.Parse(Packed.Bytes(Path("golden/tokenizers/" + relative))).RootElement;

    /// <summary>The texts that golden files refer to by index.</summary>
    public static string[] Texts => AllTexts.Value;

    private static string[] ReadTexts() =>
        [.. Golden("texts.json").GetProperty("texts").EnumerateArray().Select(row => row[1].GetString()!)];
}
