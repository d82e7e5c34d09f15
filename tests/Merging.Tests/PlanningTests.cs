// What planning makes of slices, types and tensors that not all models have, where no file of mergekit's golden set tells one rule from
// another. Rules: plan.py of mergekit 0.1.5.

using PeftAlign.Models.Checkpoints;
using PeftAlign.Torch;

namespace PeftAlign.Merging.Tests;

public class PlanningTests
{
    private const string Bias = "model.layers.1.self_attn.q_proj.bias";

    private static string Model(string name) => Workshop.Golden("models", name);

    private static Dictionary<string, Tensor> Stored(string model) => Workshop.Tensors(model);

    private static Dictionary<string, Tensor> Merged(string yaml)
    {
        var file = Path.Combine(Workshop.Scratch(), "merge.yml");
        File.WriteAllText(file, yaml);
        return Stored(Workshop.Merge(file, Workshop.Golden()));
    }

    private static string With(string model, string name, Tensor tensor)
    {
        var (from, folder) = (Model(model), Workshop.Scratch(model));
        File.Copy(Path.Combine(from, "config.json"), Path.Combine(folder, "config.json"));
        CheckpointFolder.Write(folder, new Dictionary<string, Tensor>(Stored(from)) { [name] = tensor });
        return folder;
    }

    // What lies before the layers stands at a gradient's beginning, the one layer of a slice at its end.
    [Test]
    public void ASliceOfOneLayerStandsAtAGradientsEnd()
    {
        using var scope = torch.NewDisposeScope();
        var merged = Merged($"merge_method: slerp\nbase_model: {Model("a")}\nparameters: {{t: [0, 1]}}\nslices: [{{sources: [{{model: {Model("a")}, layer_range: [1, 2]}}, {{model: {Model("b")}, layer_range: [1, 2]}}]}}]\n");
        var (first, second) = (Stored(Model("a")), Stored(Model("b")));
        Compare.Close("the layer", merged["model.layers.0.mlp.up_proj.weight"], second["model.layers.1.mlp.up_proj.weight"], 1e-7, 1e-6);
        Compare.Close("the embedding", merged["model.embed_tokens.weight"], first["model.embed_tokens.weight"], 1e-7, 1e-6);
    }

    // mergekit looks for a source only where a model lacks the token, or it is forced.
    [TestCase("", true)]
    [TestCase(", force: true", false)]
    public void ASourceThatNoModelNeedsMayLieOutsideTheMerge(string force, bool merges)
    {
        using var scope = torch.NewDisposeScope();
        Dictionary<string, Tensor> Of(string tokens) => Merged($"merge_method: linear\ntokenizer: {{source: union, tokens: {{{tokens}}}}}\nmodels: [{{model: {Model("tok-x")}, parameters: {{weight: 1}}}}, {{model: {Model("tok-y")}, parameters: {{weight: 1}}}}]\n");
        var asked = $"'</s>': {{source: {Model("tok-base")}{force}}}";
        if (!merges) Assert.That(() => Of(asked), Throws.TypeOf<PeftAlign.Abstractions.UserErrorException>().With.Message.Contains("is not part of this merge"));
        else foreach (var (name, tensor) in Of(asked)) Assert.That(tensor.equal(Of("")[name]), Is.True, name);
    }

    // Those that pydantic reads; mergekit-evolve writes 1.0 and 0.0.
    [TestCase("1.0", "true")]
    [TestCase("0.0", "false")]
    [TestCase("0", "false")]
    [TestCase("'1'", "true")]
    [TestCase("T", "true")]
    [TestCase("n", "false")]
    public void TruthValuesAreWrittenInMergekitsWays(string written, string meant)
    {
        using var scope = torch.NewDisposeScope();
        Dictionary<string, Tensor> Normalised(string value) => Merged($"merge_method: linear\nparameters: {{normalize: {value}}}\nmodels: [{{model: {Model("a")}, parameters: {{weight: 1}}}}, {{model: {Model("b")}, parameters: {{weight: 0.5}}}}]\n");
        var (first, second) = (Normalised(written), Normalised(meant));
        foreach (var (name, tensor) in first) Assert.That(tensor.equal(second[name]), Is.True, name);
    }

    // Models are rounded to the file's dtype before they are merged, and so is the result.
    [TestCase("float16")]
    [TestCase("bfloat16")]
    [TestCase("float32")]
    public void InputsAreRoundedToTheDtype(string dtype)
    {
        using var scope = torch.NewDisposeScope();
        var type = dtype switch { "float16" => torch.float16, "bfloat16" => torch.bfloat16, _ => torch.float32 };
        var merged = Merged($"merge_method: linear\ndtype: {dtype}\nmodels: [{{model: {Model("a")}, parameters: {{weight: 1}}}}, {{model: {Model("b")}, parameters: {{weight: 1}}}}]\n");
        var (first, second) = (Stored(Model("a")), Stored(Model("b")));
        Tensor Rounded(Tensor x) => x.to(type).to(torch.float32) * 0.5;
        foreach (var (name, tensor) in merged) Assert.That(tensor.equal((Rounded(first[name]) + Rounded(second[name])).to(type)), Is.True, name);
        if (type == torch.float32) return;
        Assert.That(merged.Any(t => !t.Value.equal(((first[t.Key] + second[t.Key]) * 0.5).to(type))), Is.True, "rounding once gives other numbers");
    }

    [TestCase(0, 1)]
    [TestCase(-1, 2)]
    public void AShardMayBeAsLargeAsTheLimit(int more, int files)
    {
        using var scope = torch.NewDisposeScope();
        using var plan = Workshop.Plan(Workshop.Golden("yaml", "ties-2-models.yml"), Workshop.Golden());
        var folder = Path.Combine(Workshop.Scratch(), "out");
        new MergeRunner(plan, new MergeOptions { ShardBytes = plan.Tensors.Sum(tensor => tensor.Bytes) + more }).Write(folder);
        Assert.That(Directory.GetFiles(folder, "*.safetensors"), Has.Length.EqualTo(files));
        if (files == 1) return;
        var index = Workshop.Json(Path.Combine(folder, "model.safetensors.index.json")).GetProperty("metadata");
        Assert.That((index.GetProperty("total_size").GetInt64(), index.GetProperty("total_parameters").GetInt64()), Is.EqualTo((plan.Tensors.Sum(tensor => tensor.Bytes), Stored(folder).Values.Sum(tensor => tensor.numel()))));
    }

    // What is counted is copied as it is; a loader is told the type of the weights.
    [Test]
    public void ACountBeforeAllWeightsIsNotTheModelsType()
    {
        using var scope = torch.NewDisposeScope();
        var counts = torch.arange(5);
        var file = Path.Combine(Workshop.Scratch(), "merge.yml");
        File.WriteAllText(file, $"merge_method: linear\nmodels: [{{model: {With("a", "model.embed_counts", counts)}, parameters: {{weight: 1}}}}, {{model: {With("b", "model.embed_counts", counts)}, parameters: {{weight: 1}}}}]\n");
        var folder = Workshop.Merge(file, Workshop.Golden());
        Assert.That(Stored(folder)["model.embed_counts"].equal(counts), Is.True);
        var config = Workshop.Json(Path.Combine(folder, "config.json"));
        Assert.That((config.TryGetProperty("torch_dtype", out var type) ? type : config.GetProperty("dtype")).GetString(), Is.EqualTo("float32"));
    }

    // mergekit's list of a llama's weights has no biases: what not all models have is left out, and said.
    [TestCase(true)]
    [TestCase(false)]
    public void ABiasThatOneModelLacksIsLeftOut(bool first)
    {
        using var scope = torch.NewDisposeScope();
        var biased = With(first ? "a" : "b", Bias, torch.ones([12]));
        var yaml = $"merge_method: linear\nmodels: [{{model: {(first ? biased : Model("a"))}, parameters: {{weight: 1}}}}, {{model: {(first ? Model("b") : biased)}, parameters: {{weight: 1}}}}]\n";
        var plain = Merged($"merge_method: linear\nmodels: [{{model: {Model("a")}, parameters: {{weight: 1}}}}, {{model: {Model("b")}, parameters: {{weight: 1}}}}]\n");
        Compare.Close("without it", Merged(yaml), plain, 0, 0);
        using var plan = Merger.Plan(yaml, "test.yaml", Workshop.Strategies.Find, path => path);
        Assert.That(plan.Warnings, Has.Some.Contains($"1 tensors are not part of every model and are left out: {Bias}"));
    }
}
