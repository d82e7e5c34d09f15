// Single tensors at the corners, as mergekit 0.1.5 merges them; and the formulas' golden numbers, which are hand-sized.

using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Merging.Tests;

public class EdgeTests
{
    private static readonly string[] Cases = Names();

    private static string[] Names()
    {
        try
        {
            return [.. Workshop.Json(Workshop.Golden("edge.json")).EnumerateArray().Select(c => c.GetProperty("name").GetString()!)];
        }
        catch (IgnoreException)
        {
            return ["(none: golden/merges is not there)"];
        }
    }

    [TestCaseSource(nameof(Cases))]
    public void OursIsMergekits(string name)
    {
        var golden = Workshop.Json(Workshop.Golden("edge.json")).EnumerateArray().Single(c => c.GetProperty("name").GetString() == name);
        using var scope = torch.NewDisposeScope();
        var tensors = Workshop.Tensors(Workshop.Golden("edge.safetensors"));
        var inputs = Enumerable.Range(0, golden.GetProperty("inputs").GetInt32()).Select(k => tensors[$"{name}/in{k}"]).ToList();
        int? index = golden.GetProperty("base_index") is { ValueKind: JsonValueKind.Number } number ? number.GetInt32() : null;
        Tensor Ours() => Merge(golden.GetProperty("method").GetString()!, inputs, index, JsonNode.Parse(golden.GetProperty("parameters").GetRawText())!.AsObject());
        switch (name)
        {
            // Refused where mergekit gives infinities, and where it fails.
            case "linear-weights-cancel" or "linear-zero-weights" or "della-density-plus-epsilon-1" or "multislerp-balanced-triple":
                Assert.That(() => Ours(), Throws.InstanceOf<UserErrorException>().Or.InstanceOf<PeftAlign.Plugins.PluginException>());
                return;
            // Out of range: the host refuses these before a strategy sees them.
            case "ties-density-above-1" or "ties-negative-density":
                Assert.That(() => Ours(), Throws.InstanceOf<PeftAlign.Plugins.PluginException>());
                return;
            case "della-one-column": // mergekit fails; each entry of a one-entry row is kept with the mean probability
                Assert.That(Ours().shape, Is.EqualTo(inputs[0].shape));
                return;
            case "model-stock-two-models" or "integer-buffer": // the planner refuses both: PlanTests
                return;
        }
        Compare.Close(name, Ours(), tensors[$"{name}/out"], 1e-6, 1e-5);
    }

    // As the planner does it: the base apart, first, or among the inputs; defaults per model.
    internal static Tensor Merge(string method, List<Tensor> tensors, int? index, JsonObject given)
    {
        var provided = Workshop.Strategies.Find(method);
        var role = provided.Contract.Traits.FirstOrDefault() ?? "";
        var apart = index is not null && role is MergeBase.Origin or MergeBase.OptionalOrigin ? tensors[index!.Value] : null;
        var inputs = apart is null ? tensors : [.. tensors.Where(tensor => tensor != apart)];
        var parameters = new JsonObject();
        foreach (var option in provided.Contract.Options.Options)
            if (given[option.Name] is { } value) parameters[option.Name] = option.Name == "rescale" ? ((bool)value ? "l1" : "off") : value.DeepClone();
            else if (option.PerModel) parameters[option.Name] = new JsonArray([.. inputs.Select(_ => option.Default?.DeepClone())]);
        return provided.Create(parameters).Merge(new MergeTensor("x", apart, inputs, torch.float32, k => new CounterStream(1, "test", $"{k}")));
    }

    private static readonly (string Golden, string Method, string Parameters, int[] Models)[] Formulas =
    [
        ("linear w=[1,2,0.5] normalize", "linear", """{"weight": [1, 2, 0.5]}""", [0, 1, 2]),
        ("linear w=[1,2,0.5] normalize=false", "linear", """{"weight": [1, 2, 0.5], "normalize": false}""", [0, 1, 2]),
        ("task_arithmetic w=[1,.5,.8] lambda=1", "task_arithmetic", """{"weight": [1, 0.5, 0.8]}""", [0, 1, 2]),
        ("task_arithmetic normalize lambda=.7", "task_arithmetic", """{"weight": [1, 0.5, 0.8], "normalize": true, "lambda": 0.7}""", [0, 1, 2]),
        ("ties density=.5 w=[1,.5,.8] (normalize=true)", "ties", """{"weight": [1, 0.5, 0.8], "density": [0.5, 0.5, 0.5]}""", [0, 1, 2]),
        ("ties density=.5 normalize=false lambda=.9", "ties", """{"weight": [1, 0.5, 0.8], "density": [0.5, 0.5, 0.5], "normalize": false, "lambda": 0.9}""", [0, 1, 2]),
    ];

    [TestCaseSource(nameof(Formulas))]
    public void TheFormulasNumbers(object formula)
    {
        var (name, method, parameters, models) = ((string, string, string, int[]))formula;
        var golden = Workshop.Json(Path.Combine(Path.GetDirectoryName(Workshop.Golden())!, "merge-formulas", "golden.json"));
        using var scope = torch.NewDisposeScope();
        static Tensor Vector(JsonElement list) => torch.tensor(list.EnumerateArray().Select(x => x.GetSingle()).ToArray(), [list.GetArrayLength()]);
        List<Tensor> tensors = [Vector(golden.GetProperty("base")), .. models.Select(k => Vector(golden.GetProperty("models")[k]))];
        int? index = method == "linear" ? null : 0;
        if (index is null) tensors.RemoveAt(0);
        var result = Merge(method, tensors, index, JsonNode.Parse(parameters)!.AsObject());
        Compare.Close(name, result, Vector(golden.GetProperty("results").GetProperty(name)), 1e-6, 1e-5);
    }
}
