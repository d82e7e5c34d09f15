// SFT against TRL's table: one real batch through a model with an adapter, under each loss, as prompts and answers, whole texts, packed
// rows and cut ones; loss, metrics and the gradient's norm, per labelled token or per the number that the window counts.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Methods.Sft;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Torch;

namespace PeftAlign.Training.Tests;

public sealed class SftTableTests : TrainingTest
{
    [Test]
    public void A_real_batch()
    {
        var root = Fixtures.Golden("losses", "real");
        using var tensors = SafetensorsFile.Open(Path.Combine(root, "batch-sft.safetensors"));
        var (model, deltas) = Fixtures.RealBatch();
        var cases = Fixtures.Json(Path.Combine(root, "sft.json"))["cases"]!.AsArray().Select(c => c!.AsObject()).ToList();
        Assert.That(cases, Has.Count.EqualTo(42));
        Assert.Multiple(() =>
        {
            foreach (var @case in cases) Case(tensors, model, deltas, @case);
        });
    }

    private static void Case(SafetensorsFile tensors, DecoderModel model, Dictionary<string, Delta> deltas, JsonObject @case)
    {
        using var scope = torch.NewDisposeScope();
        foreach (var leaf in deltas.Values.SelectMany(d => d.Parameters.Values)) leaf.grad = null;
        var method = Fixtures.Sft(new SftOptions { LossType = (string?)@case["loss_type"] ?? "nll", LabelSmoothingFactor = (double?)@case["label_smoothing_factor"] ?? 0 });
        var rows = Rows(tensors, (string)@case["batch"]!).ToList();
        var groups = method.Prepare([.. rows.Select((row, k) => new DataRecord(row, "batch-sft", k + 1))], new PrepareContext(null, 1024, new MaskLedger()));
        var engine = new LogProbEngine(model);
        using var pass = engine.Pass(groups, new ForwardMode { Deltas = deltas }, new PassNeeds { Statistics = method.Needs.Statistics });
        var loss = method.Loss(new ScoredBatch(groups, pass.LogProbs, engine.Weights(groups)) { Statistics = pass.Statistics });
        loss.Numerator.backward();
        pass.Backward();
        var id = @case.ToJsonString()[..Math.Min(140, @case.ToJsonString().Length)];
        var tokens = (double?)@case["num_items_in_batch"] ?? loss.Denominator;
        AssertNear(loss.Numerator.item<double>() / tokens, (double)@case["loss"]!, 1e-5, id);
        AssertNear(Fixtures.GradientNorm(deltas) / tokens, (double)@case["grad_norm"]!, 1e-4, $"{id}, gradient norm");
        foreach (var metric in (string[])["entropy", "mean_token_accuracy"]) AssertNear(loss.Metrics[metric], (double)@case["metrics"]![metric]!, 1e-5, $"{id}, {metric}");
        Assert.That(rows.Sum(row => row["input_ids"]!.AsArray().Count), Is.EqualTo((double)@case["metrics"]!["num_tokens"]!), $"{id}, num_tokens");
    }

    // Padded rows up to their padding; packed ones parted where positions begin anew.
    private static IEnumerable<JsonObject> Rows(SafetensorsFile tensors, string batch)
    {
        var (ids, labels) = (tensors.Tensor(batch + "/input_ids"), tensors.Tensor(batch + "/labels"));
        if (!tensors.Contains(batch + "/position_ids"))
            return Enumerable.Range(0, (int)ids.shape[0]).Select(row => Row(ids.select(0, row), labels.select(0, row), 0, tensors.Tensor(batch + "/attention_mask").select(0, row).sum().item<long>()));
        var positions = tensors.Tensor(batch + "/position_ids").data<long>().ToArray();
        long[] starts = [.. positions.Index().Where(p => p.Item == 0).Select(p => (long)p.Index), positions.Length];
        return starts.SkipLast(1).Zip(starts.Skip(1)).Select(part => Row(ids.select(0, 0), labels.select(0, 0), part.First, part.Second - part.First));
    }

    private static JsonObject Row(Tensor ids, Tensor labels, long from, long length)
    {
        JsonArray Part(Tensor row) => [.. row.narrow(0, from, length).data<long>().ToArray().Select(id => (JsonNode)(int)id)];
        return new JsonObject { ["input_ids"] = Part(ids), ["labels"] = Part(labels) };
    }

    private static void AssertNear(double actual, double expected, double tolerance, string what) =>
        Assert.That(actual, Is.EqualTo(expected).Within(tolerance * Math.Max(0.1, Math.Abs(expected))), what);
}
