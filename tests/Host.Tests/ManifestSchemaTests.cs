// `plugins schema` is what editors check manifests by: over the product's own plugins every manifest that ships is valid by it, and one
// with an unknown key anywhere is not.

using System.Text.Json.Nodes;
using PeftAlign.Core;

namespace PeftAlign.Host.Tests;

public sealed class ManifestSchemaTests
{
    // Places of experiments/quickstart.yaml where a key of the user's own is a mistake.
    private static readonly string[] Closed = ["", "models.base", "datasets.helpful", "adapters.small", "methods.sft", "train.0", "merge.0", "merge.0.of", "evaluate.0", "report"];

    private string folder = null!;

    [SetUp]
    public void SetUp() => folder = Directory.CreateTempSubdirectory("peftalign-schema-").FullName;

    [TearDown]
    public void TearDown() => Directory.Delete(folder, recursive: true);

    private JsonNode Schema() => JsonNode.Parse(Product.Run(folder, 0, folder, Product.Host, "plugins", "schema"))!;

    private static JsonNode Document(string file) => Documents.ToJson(File.ReadAllText(file)) is { Json: { } json } ? JsonNode.Parse(json)! : throw new InvalidDataException(file);

    [Test]
    public void Manifests_that_ship_are_valid_and_unknown_keys_are_not()
    {
        var schema = Schema();
        var shipped = Directory.GetFiles(Path.Combine(Checkout.Root, "experiments"), "*.yaml").Where(file => File.ReadAllText(file).Contains("\npeftalign: 1", StringComparison.Ordinal)).ToList();
        Assert.That(shipped, Has.Count.GreaterThan(4));
        foreach (var file in shipped) Assert.That(IsValid(schema, Document(file)), file);

        var quickstart = shipped.Single(file => Path.GetFileName(file) == "quickstart.yaml");
        foreach (var place in Closed)
        {
            var document = Document(quickstart);
            var inside = place.Split('.', StringSplitOptions.RemoveEmptyEntries).Aggregate(document, (node, key) => node is JsonArray list ? list[int.Parse(key)]! : node[key] ?? throw new InvalidDataException($"no {place}"));
            inside["unheard_of"] = 1;
            Assert.That(IsValid(schema, document), Is.False, place);
        }
    }

    [Test]
    public void A_plugin_that_is_found_is_in_it()
    {
        var installed = Path.Combine(folder, "installed", "acme");
        Directory.CreateDirectory(installed);
        foreach (var file in Directory.GetFiles(Path.Combine(Path.GetDirectoryName(Product.Host)!, "plugins", "data"))) File.Copy(file, Path.Combine(installed, Path.GetFileName(file)));
        var described = Path.Combine(installed, "plugin.json");
        File.WriteAllText(described, File.ReadAllText(described).Replace("\"id\": \"data\"", "\"id\": \"acme.data\"", StringComparison.Ordinal));
        Assert.That(Schema().ToJsonString(), Does.Not.Contain("acme.data/jsonl"));
        Assert.That(Product.Run(folder, 0, folder, Product.Host, "plugins", "schema", "--plugins", Path.Combine(folder, "installed")), Does.Contain("acme.data/jsonl").And.Contain("\"$schema\""));
    }

    // The keywords that the schema has, as draft 2020-12 defines them; another one is an error of this test.
    private static bool IsValid(JsonNode schema, JsonNode? node) => schema is JsonValue never ? (bool)never : schema.AsObject().All(rule => Holds(schema, rule.Key, rule.Value!, node));

    private static bool Holds(JsonNode schema, string keyword, JsonNode rule, JsonNode? node) => keyword switch
    {
        "$schema" or "title" or "description" => true,
        "type" => IsOfType((string)rule!, node),
        "enum" => node is JsonValue value && rule.AsArray().Any(item => JsonNode.DeepEquals(item, value)),
        "anyOf" => rule.AsArray().Any(option => IsValid(option!, node)),
        "minimum" => Number(node) is not { } number || number >= (double)rule,
        "maximum" => Number(node) is not { } number || number <= (double)rule,
        "exclusiveMinimum" => Number(node) is not { } number || number > (double)rule,
        "exclusiveMaximum" => Number(node) is not { } number || number < (double)rule,
        "minItems" => node is not JsonArray items || items.Count >= (int)rule,
        "items" => node is not JsonArray items || items.All(item => IsValid(rule, item)),
        "required" => node is not JsonObject entries || rule.AsArray().All(key => entries.ContainsKey((string)key!)),
        "properties" => node is not JsonObject entries || entries.All(entry => rule[entry.Key] is not { } inner || IsValid(inner, entry.Value)),
        "additionalProperties" => node is not JsonObject entries || entries.Where(entry => schema["properties"]?[entry.Key] is null).All(entry => IsValid(rule, entry.Value)),
        _ => throw new NotSupportedException(keyword),
    };

    private static bool IsOfType(string type, JsonNode? node) => type switch
    {
        "object" => node is JsonObject,
        "array" => node is JsonArray,
        "null" => node is null,
        "integer" => Number(node) is { } number && number == Math.Floor(number),
        "number" => Number(node) is not null,
        "boolean" => node is JsonValue && node.GetValueKind() is System.Text.Json.JsonValueKind.True or System.Text.Json.JsonValueKind.False,
        "string" => node is JsonValue && node.GetValueKind() == System.Text.Json.JsonValueKind.String,
        _ => throw new NotSupportedException(type),
    };

    private static double? Number(JsonNode? node) => node is JsonValue && node.GetValueKind() == System.Text.Json.JsonValueKind.Number ? (double)node : null;
}
