// Single tensors of a few numbers where a rule turns: ties, opposite and equal directions, entries on a threshold, two and four models.
// Expected are mergekit 0.1.5's own numbers for the same tensors (merge_tensors).

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Torch;

namespace PeftAlign.Merging.Tests;

public class BorderTests
{
    private const string Base = "[[1, 2, 3], [0, -1, 2]]";
    private const string First = "[[1.5, 2, 2.5], [1, -1, 2.5]]";
    private const string Second = "[[1.25, 2.5, 2.75], [0.5, -2, 3]]";

    private static IEnumerable<TestCaseData> Cases()
    {
        TestCaseData Case(string name, string method, string parameters, int? index, string[] tensors, double[] expected) =>
            new TestCaseData(method, parameters, index, tensors, expected).SetArgDisplayNames(name);
        // The mean cosine is over n (n - 1) / 2 pairs, which is n for three models alone.
        yield return Case("model stock of two", "model_stock", """{"filter_wise": true}""", 0, [Base, First, Second],
            [1.2745190858840942, 2.1830127239227295, 2.7254810333251953, 0.5603179931640625, -1.3735452890396118, 2.5603179931640625]);
        yield return Case("model stock of four", "model_stock", """{"filter_wise": true}""", 0, [Base, First, Second, "[[2, 1, 3], [0.25, -0.5, 2.25]]", "[[0.5, 2.25, 4], [1, -1.5, 1]]"],
            [0.6181461811065674, 2.0763707160949707, 2.92362904548645, 0.3123842477798462, -1.1135942935943604, 2.085195779800415]);
        yield return Case("rows that are opposite, equal, at an angle", "nuslerp", """{"weight": [0.75, 0.25], "nuslerp_flatten": false}""", null, ["[[2, 0], [3, -1], [2, 2]]", "[[-3, 0], [3, -1], [2, -2]]"],
            [0.75, 0, 3, -1, 2.613126039505005, 1.0823922157287598]);
        yield return Case("a mean of equals", "karcher", "{}", null, ["[2]", "[2]"], [2]);
        yield return Case("a mean of opposites is the first", "karcher", "{}", null, ["[3, 4]", "[-3, -4]"], [3, 4]);
        // Added to every entry, a constant leaves each row's softmax as it is: all importances are 0, and so is what they must reach.
        yield return Case("importances that are all the threshold", "arcee_fusion", "{}", 0, [Base, "[[2, 3, 4], [1, 0, 3]]"], [2, 3, 4, 1, 0, 3]);
        yield return Case("changes as large as epsilon are none", "ram", """{"epsilon": 0.25}""", 0, ["[0, 0, 0, 0]", "[0.25, 0.5, 0, 0.25]", "[0.5, 0.25, 0.25, 0.5]"], [0.5, 0.5, 0, 0.5]);
        yield return Case("models too near the base to weigh", "sce", "{}", 0, ["[0, 0, 0, 0]", "[1e-4, -2e-4, 3e-4, 0]", "[4e-4, -1e-4, -1e-4, 2e-4]"],
            [0.00024999998277053237, -0.00014999999257270247, 0.0003000000142492354, 0.00019999999494757503]);
        yield return Case("a share of what varies, not of all", "sce", """{"select_topk": 0.5}""", 0, ["[0, 0, 0, 0, 0, 0]", "[1, 2, 3, 1, 1, 1]", "[2, 0, 3.5, 1, 1, 1]"], [0, 2, 0, 0, 0, 0]);
    }

    [TestCaseSource(nameof(Cases))]
    public void OursIsMergekits(string method, string parameters, int? index, string[] tensors, double[] expected)
    {
        using var scope = torch.NewDisposeScope();
        var inputs = tensors.Select(Tensor).ToList();
        var merged = EdgeTests.Merge(method, inputs, index, JsonNode.Parse(parameters)!.AsObject());
        Compare.Close(method, merged, torch.tensor(expected).view(inputs[0].shape), 1e-9, 1e-5);
    }

    // mergekit divides by what is left of them.
    [Test]
    public void WeightsThatAllButCancelAreRefused() =>
        Assert.That(() => EdgeTests.Merge("linear", [Tensor("[1, 2]"), Tensor("[3, 4]")], null, new JsonObject { ["weight"] = new JsonArray(1.0, -1 + 1e-9) }),
            Throws.InstanceOf<UserErrorException>().With.Message.Contains("by which the result would be divided"));

    private static Tensor Tensor(string json)
    {
        var array = JsonNode.Parse(json)!.AsArray();
        var rows = array[0] is JsonArray ? array.Select(row => row!.AsArray()).ToArray() : [array];
        var values = rows.SelectMany(row => row.Select(x => (float)(double)x!)).ToArray();
        return array[0] is JsonArray ? torch.tensor(values, [rows.Length, rows[0].Count]) : torch.tensor(values, [values.Length]);
    }
}
