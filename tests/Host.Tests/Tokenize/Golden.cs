// The golden files: of the folder `shared` where it is there (PEFTALIGN_SHARED, or beside the repository or a folder above it),
// else the copies beside the tests of src/Models. A test that needs more than the copies is skipped, and says so.

using System.Text.Json;
using System.Text.Json.Nodes;

namespace PeftAlign.Host.Tests.Tokenize;

internal static class Golden
{
    private static readonly Lazy<string[]> AllTexts = new(() =>
        [.. Json("golden/tokenizers/texts.json").GetProperty("texts").EnumerateArray().Select(row => row[1].GetString()!)]);

    public static string Repository { get; } = Above(new DirectoryInfo(TestContext.CurrentContext.TestDirectory));

    private static readonly string? Shared = Environment.GetEnvironmentVariable("PEFTALIGN_SHARED") is { Length: > 0 } given ? given : Beside(new DirectoryInfo(Repository));

    /// <summary>The texts that other files refer to by index.</summary>
    public static string[] Texts => AllTexts.Value;

    /// <summary>A file or folder of golden/ or data/; the test is skipped where there is none.</summary>
    public static string Path(string relative)
    {
        string[] places = [.. Copies(relative)];
        if (Shared is not null) places = [System.IO.Path.Combine(Shared, relative), .. places];
        if (places.FirstOrDefault(System.IO.Path.Exists) is { } found) return found;
        Assert.Ignore($"shared/{relative} is not there; set PEFTALIGN_SHARED to the folder that holds it to run this check");
        return "";
    }

    public static JsonElement Json(string relative) => JsonDocument.Parse(File.ReadAllBytes(Path(relative))).RootElement;

    public static IReadOnlyList<JsonElement> Lines(string relative) => [.. File.ReadLines(Path(relative)).Select(line => JsonDocument.Parse(line).RootElement)];

    public static int[] Ints(JsonElement array) => [.. array.EnumerateArray().Select(item => item.GetInt32())];

    /// <summary>The text of a value, where null stands for another text.</summary>
    public static string TextOr(JsonElement value, string otherwise) => value.ValueKind == JsonValueKind.Null ? otherwise : value.GetString()!;

    public static JsonObject Row(string name, JsonNode? value) => new() { [name] = value };

    public static JsonObject IdsRow(IEnumerable<int> ids) => Row("ids", new JsonArray([.. ids.Select(id => (JsonNode)id)]));

    private static IEnumerable<string> Copies(string relative)
    {
        var models = System.IO.Path.Combine(Repository, "tests", "Models.Tests");
        yield return System.IO.Path.Combine(models, "Fixtures", relative);
        if (relative.StartsWith("golden/chat/", StringComparison.Ordinal)) yield return System.IO.Path.Combine(models, "Templates", "Golden", relative["golden/chat/".Length..]);
        if (relative.StartsWith("golden/badfiles/files/template/", StringComparison.Ordinal)) yield return System.IO.Path.Combine(models, "Templates", "Golden", "bad", relative["golden/badfiles/files/template/".Length..]);
    }

    private static string Above(DirectoryInfo? folder)
    {
        while (folder is not null && !File.Exists(System.IO.Path.Combine(folder.FullName, "PeftAlign.sln"))) folder = folder.Parent;
        return folder?.FullName ?? throw new InvalidOperationException("the tests must lie inside the repository");
    }

    private static string? Beside(DirectoryInfo? folder)
    {
        for (; folder is not null; folder = folder.Parent)
            if (System.IO.Path.Combine(folder.FullName, "shared") is var shared && Directory.Exists(System.IO.Path.Combine(shared, "golden"))) return shared;
        return null;
    }
}
