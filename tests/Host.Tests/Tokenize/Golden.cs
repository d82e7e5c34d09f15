// The golden files: of the folder `shared` where it is there (PEFTALIGN_SHARED, or beside the repository or a folder above it),
// else the copies beside the tests of src/Models. A test that needs more than the copies is skipped, and says so.

using System.Text.Json;
using System.Text.Json.Nodes;

namespace PeftAlign.Host.Tests.Tokenize;

internal static class Golden
{
    private static readonly Lazy<string[]> AllTexts = new(() =>
        [.. Json("golden/tokenizers/texts.json").GetProperty("texts").EnumerateArray().Select(row => row[1].GetString()!)]);

    /// <summary>The texts that other files refer to by index.</summary>
    public static string[] Texts => AllTexts.Value;

    /// <summary>A file or folder of golden/ or data/; the test is skipped where there is none.</summary>
    public static string Path(string relative)
    {
        string[] places = [.. Copies(relative)];
        if (Checkout.Shared is { } shared) places = [System.IO.Path.Combine(shared, relative), .. places];
        if (places.Select(Packed.Find).FirstOrDefault(place => place is not null) is { } found) return found;
        Assert.Ignore($"shared/{relative} is not there; set PEFTALIGN_SHARED to the folder that holds it to run this check");
        return "";
    }

    public static JsonElement Json(string relative) => JsonDocument.Parse(Packed.Bytes(Path(relative))).RootElement;

    public static IReadOnlyList<JsonElement> Lines(string relative) => [.. Packed.Lines(Path(relative)).Select(line => JsonDocument.Parse(line).RootElement)];

    public static int[] Ints(JsonElement array) => [.. array.EnumerateArray().Select(item => item.GetInt32())];

    /// <summary>The text of a value, where null stands for another text.</summary>
    public static string TextOr(JsonElement value, string otherwise) => value.ValueKind == JsonValueKind.Null ? otherwise : value.GetString()!;

    public static JsonObject Row(string name, JsonNode? value) => new() { [name] = value };

    public static JsonObject IdsRow(IEnumerable<int> ids) => Row("ids", new JsonArray([.. ids.Select(id => (JsonNode)id)]));

    private static IEnumerable<string> Copies(string relative)
    {
        var models = System.IO.Path.Combine(Checkout.Root, "tests", "Models.Tests");
        yield return System.IO.Path.Combine(models, "Fixtures", relative);
        if (relative.StartsWith("golden/chat/", StringComparison.Ordinal)) yield return System.IO.Path.Combine(models, "Templates", "Golden", relative["golden/chat/".Length..]);
        if (relative.StartsWith("golden/badfiles/files/template/", StringComparison.Ordinal)) yield return System.IO.Path.Combine(models, "Templates", "Golden", "bad", relative["golden/badfiles/files/template/".Length..]);
    }
}
