// What a merge holds of the files that it reads: the tensors at hand, not all that it has read.

using PeftAlign.Models.Checkpoints;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Merging.Tests;

public class MappedPagesTests
{
    private const long Side = 1024, Tensors = 12, Bytes = 4 * Side * Side;

    private static string Model(string name, double factor)
    {
        var folder = Workshop.Scratch(name);
        CheckpointFolder.Write(folder, Enumerable.Range(0, (int)Tensors).ToDictionary(k => $"model.layers.{k}.w.weight", k => new CounterStream(2, $"{k}").Normal([Side, Side], 0, 1).mul_(factor)));
        File.WriteAllText(Path.Combine(folder, "config.json"), $$"""{"model_type":"llama","num_hidden_layers":{{Tensors}}}""");
        return folder;
    }

    // passthrough hands the file's own memory to the writer.
    [TestCase("linear")]
    [TestCase("passthrough")]
    public void Pages_of_what_was_merged_are_let_go(string method)
    {
        using var scope = torch.NewDisposeScope();
        string[] models = [Model("one", 1), .. method == "linear" ? (string[])[Model("two", 3)] : []];
        using var plan = Merger.Plan($"merge_method: {method}\nmodels:\n{string.Concat(models.Select(model => $"- model: {model}\n{(method == "linear" ? "  parameters: { weight: 0.5 }\n" : "")}"))}dtype: float32\n", "test.yaml", Workshop.Strategies.Find, path => path);
        var most = 0L;
        var target = Path.Combine(Workshop.Scratch(), "out");
        new MergeRunner(plan, new MergeOptions { Progress = (_, _, _) => most = Math.Max(most, models.Max(MappedPages.Resident)) }).Write(target);
        Assert.That(most, Is.InRange(Bytes, 4 * Bytes));
        var (result, first) = (Workshop.Tensors(target), Workshop.Tensors(models[0]));
        Assert.That(result, Has.Count.EqualTo(Tensors));
        foreach (var (name, tensor) in result) Compare.Close(name, tensor, first[name] * (method == "linear" ? 2.0 : 1.0), 1e-6, 1e-6);
    }
}
