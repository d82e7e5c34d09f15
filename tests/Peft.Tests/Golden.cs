// Where the adapters that PEFT made are: a few beside the tests, all of them in shared/golden/peft, if that is there. And what a
// model gives for PEFT's inputs: logits, the objective's gradients.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Torch;

namespace PeftAlign.Peft.Tests;

internal static class Golden
{
    /// <summary>A path in tests/fixtures/peft or else in shared/golden/peft; the test is skipped, visibly, where it is in neither.</summary>
    internal static string Path(params string[] parts)
    {
        var own = Checkout.Fixture(["peft", .. parts]);
        return System.IO.Path.Exists(own) ? own : Checkout.Reference(["golden", "peft", .. parts]);
    }

    internal static JsonObject Json(params string[] parts) => JsonNode.Parse(File.ReadAllText(Path(parts)))!.AsObject();

    internal static SafetensorsFile Tensors(params string[] parts) => SafetensorsFile.Open(Path(parts));

    internal static IEnumerable<string> Names(SafetensorsFile file) => file.Tensors.Select(t => t.Name);

    internal static bool Has(SafetensorsFile file, string name) => Names(file).Contains(name);

    internal static AdapterFiles Adapter(string folder)
    {
        using var file = SafetensorsFile.Open(System.IO.Path.Combine(folder, "adapter_model.safetensors"));
        return new AdapterFiles(JsonNode.Parse(File.ReadAllText(System.IO.Path.Combine(folder, "adapter_config.json")))!.AsObject(), file.Tensors.ToDictionary(t => t.Name, t => file.Tensor(t.Name)));
    }

    /// <summary>The base that a golden adapter's configuration names.</summary>
    internal static DecoderModel Base(AdapterFiles files) => ModelFolder.Load(Path(System.IO.Path.GetFileName((string)files.Config["base_model_name_or_path"]!)), device: TestDevice.Here);

    /// <summary>The rows of PEFT's inputs without padding, and which of their tokens count.</summary>
    internal static List<(int[] Ids, float[] Asked)> Inputs()
    {
        using var file = Tensors("inputs.safetensors");
        long[] Row(string name, long b) => file.Tensor(name).select(0, b).data<long>().ToArray();
        return Enumerable.Range(0, (int)file.Tensor("input_ids").size(0)).Select(b =>
        {
            var n = (int)Row("attention_mask", b).Sum();
            return (Row("input_ids", b)[..n].Select(id => (int)id).ToArray(), Row("completion_mask", b)[..n].Select(w => (float)w).ToArray());
        }).ToList();
    }

    /// <summary>(n, V) logits of each row's tokens.</summary>
    internal static List<Tensor> Logits(DecoderModel model, ForwardMode mode, IReadOnlyList<string?>? controls = null)
    {
        using var off = torch.no_grad();
        var groups = Inputs().Select((row, k) => new CompletionGroup([.. row.Ids.Select(id => id % (int)model.Spec.Vocabulary)], [Completion.Of([1])]) { Control = controls?[k] }).ToList();
        return new LogProbEngine(model).Logits(groups, mode).ToList();
    }

    /// <summary>Sum of the asked tokens' log-probs, with gradients.</summary>
    internal static Tensor Objective(DecoderModel model, ForwardMode mode)
    {
        var groups = Inputs().Select(row => new CompletionGroup(row.Ids[..1], [new Completion(row.Ids[1..], row.Asked[1..])])).ToList();
        var engine = new LogProbEngine(model);
        return (engine.LogProbs(groups, mode) * engine.Weights(groups)).sum();
    }

    /// <summary>The largest distance of our logits from PEFT's, over the tokens that are not padding.</summary>
    internal static double Distance(List<Tensor> ours, Tensor theirs) =>
        ours.Select((logits, b) => Worst(logits, theirs.select(0, b).narrow(0, 0, logits.size(0)))).Aggregate(Math.Max); // not Max, which passes over NaN

    internal static double Worst(Tensor actual, Tensor expected)
    {
        Assert.That(actual.shape, Is.EqualTo(expected.shape));
        return (actual.detach().to(torch.float64, torch.CPU) - expected.detach().to(torch.float64, torch.CPU)).abs().max().item<double>();
    }
}
