// KTO, ORPO, CPO and SimPO against TRL's tables: losses, gradients and metrics on given log-probs, and a real batch through a model with
// an adapter.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Methods.Cpo;
using PeftAlign.Methods.Kto;
using PeftAlign.Methods.Orpo;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Torch;

namespace PeftAlign.Training.Tests;

public sealed class ObjectiveLossTests : TrainingTest
{
    [Test]
    public void Kto_tables()
    {
        using var tensors = SafetensorsFile.Open(Fixtures.Path("losses", "kto.safetensors"));
        var json = Fixtures.Json(Fixtures.Path("losses", "kto.json"));
        Assert.Multiple(() =>
        {
            foreach (var node in json["cases"]!.AsArray())
            {
                using var scope = torch.NewDisposeScope();
                KtoCase(tensors, node!.AsObject(), [.. json["labels"]![(string)node["labels"]!]!.AsArray().Select(l => (bool)l!)]);
            }
        });
    }

    private static void KtoCase(SafetensorsFile tensors, JsonObject @case, bool[] labels)
    {
        var (id, loss) = ((string)@case["id"]!, (string)@case["loss_type"]!);
        var method = Fixtures.Method<KtoPlugin, KtoOptions>("kto", new KtoOptions
        {
            LossType = loss,
            Beta = (double)@case["beta"]!,
            DesirableWeight = (double)@case["desirable_weight"]!,
            UndesirableWeight = (double)@case["undesirable_weight"]!,
        });
        var mask = tensors.Tensor("completion_mask");
        var spans = Enumerable.Range(0, labels.Length).Select(row => mask.select(0, row).data<long>().ToArray()).Select(m => (First: Array.IndexOf(m, 1L) - 1, Length: (int)m.Sum())).ToList();
        var kl = loss == "kto" ? (string)@case["kl"]! : null;
        // Each row's own entries, then those under the other answer.
        Tensor Flat(string own, Func<string, Tensor> measured) => torch.cat([.. spans.SelectMany((s, row) => (kl is null ? (Tensor[])[tensors.Tensor(own)] : [tensors.Tensor(own), measured(kl)])
            .Select(padded => padded.select(0, row).narrow(0, s.First, s.Length)))]).to(torch.float32);
        var groups = spans.Select((s, row) =>
        {
            var own = Completion.Of(new int[s.Length]);
            return new CompletionGroup(new int[s.First + 1], kl is null ? [own with { Label = labels[row] }] : [own with { Label = labels[row] }, own with { Gradient = false }]);
        }).ToList();
        var leaf = Flat("policy", x => tensors.Tensor("kl_policy/" + x)).requires_grad_();
        var result = method.Loss(new ScoredBatch(groups, leaf, torch.ones([leaf.numel()]))
        {
            ReferenceLogProbs = Flat("reference", x => tensors.Tensor("kl_reference/" + x)),
            Statistics = new Dictionary<string, Tensor> { ["entropy"] = torch.ones([leaf.numel()]), ["mean_logit"] = Flat("mean_logits", _ => tensors.Tensor("mean_logits")) },
        });
        AssertNear(result.Numerator.item<double>(), (double)@case["loss"]!, 1e-5, id);
        var metrics = @case["metrics"]!.AsObject();
        foreach (var (metric, expected) in metrics) AssertNear(result.Metrics[metric], (double)expected!, 1e-5, $"{id}, {metric}");
        Assert.That(result.Metrics.Keys.Except(metrics.Select(m => m.Key)), Is.EquivalentTo((string[])["entropy"]), "a class that is absent has no metrics");
        result.Numerator.backward();
        var difference = leaf.grad! - Flat("grad/" + id, _ => torch.zeros_like(mask));
        Assert.That(difference.abs().max().item<float>(), Is.LessThanOrEqualTo(1e-6f), $"{id}, gradient");
    }

    // One token each: means and sums are the given numbers.
    [Test]
    public void Tables_without_a_reference()
    {
        var json = Fixtures.Json(Fixtures.Path("losses", "orpo-cpo.json"));
        var (chosen, rejected) = (Floats(json["chosen_logps"]!), Floats(json["rejected_logps"]!));
        Assert.Multiple(() =>
        {
            foreach (var node in json["cases"]!.AsArray())
            {
                using var scope = torch.NewDisposeScope();
                var @case = node!.AsObject();
                var id = $"{@case["trainer"]} {@case["loss_type"]} beta {@case["beta"]} smoothing {@case["label_smoothing"]} gamma {@case["simpo_gamma"]} alpha {@case["alpha"]}";
                var groups = chosen.Select(_ => new CompletionGroup([1], [Completion.Of([2]), Completion.Of([3])])).ToList();
                var leaf = torch.tensor(chosen.Zip(rejected).SelectMany(p => (float[])[p.First, p.Second]).ToArray()).requires_grad_();
                var result = Method(@case, 0).Loss(new ScoredBatch(groups, leaf, torch.ones([leaf.numel()])) { Statistics = new Dictionary<string, Tensor> { ["mean_logit"] = leaf.detach() } });
                var nll = (string)@case["trainer"]! == "ORPO" ? -chosen.Average(c => (double)c) : 0;
                AssertNear(result.Numerator.item<double>() - nll, (double)(@case["loss"] ?? @case["odds_ratio_term"])!, 1e-5, id);
                AssertNear(result.Metrics["rewards/chosen"], Floats(@case["rewards_chosen"]!).Average(r => (double)r), 1e-5, $"{id}, rewards/chosen");
                AssertNear(result.Metrics["rewards/rejected"], Floats(@case["rewards_rejected"]!).Average(r => (double)r), 1e-5, $"{id}, rewards/rejected");
                foreach (var metric in (string[])["log_odds_ratio", "log_odds_chosen"])
                    if (@case[metric] is { } expected) AssertNear(result.Metrics[metric], (double)expected, 1e-5, $"{id}, {metric}");
                result.Numerator.backward();
                var gradients = leaf.grad!.view(-1, 2).data<float>().ToArray();
                var (gc, gr) = (Floats(@case["grad_chosen"]!), Floats(@case["grad_rejected"]!));
                for (var k = 0; k < gc.Length; k++)
                {
                    AssertClose(gradients[2 * k] + (nll != 0 ? 1.0 / chosen.Length : 0), gc[k], $"{id}, gradient of chosen {k}");
                    AssertClose(gradients[2 * k + 1], gr[k], $"{id}, gradient of rejected {k}");
                }
            }
        });
    }

    [Test]
    public void A_real_batch_without_a_reference()
    {
        var root = Fixtures.Golden("losses", "real");
        using var tensors = SafetensorsFile.Open(Path.Combine(root, "batch-bos.safetensors"));
        var (model, deltas) = Fixtures.RealBatch();
        var engine = new LogProbEngine(model);
        var records = Enumerable.Range(0, 8).Select(row => new DataRecord(Row(tensors, row), "batch-bos", row + 1)).ToList();
        var seen = 0;
        Assert.Multiple(() =>
        {
            foreach (var @case in Fixtures.Json(Path.Combine(root, "orpo-cpo.json"))["cases"]!.AsArray().Select(n => n!.AsObject()))
            {
                using var scope = torch.NewDisposeScope();
                foreach (var leaf in deltas.Values.SelectMany(d => d.Parameters.Values)) leaf.grad = null;
                var method = Method(@case, (double?)@case["cpo_alpha"] ?? 1);
                var groups = method.Prepare(records, new PrepareContext(null, 1024, new MaskLedger()));
                using var pass = engine.Pass(groups, new ForwardMode { Deltas = deltas }, new PassNeeds { Statistics = method.Needs.Statistics });
                var loss = method.Loss(new ScoredBatch(groups, pass.LogProbs, engine.Weights(groups)) { Statistics = pass.Statistics });
                loss.Numerator.backward();
                pass.Backward();
                var id = @case.ToJsonString()[..120];
                AssertNear(loss.Numerator.item<double>(), (double)@case["loss"]!, 1e-5, id);
                foreach (var (metric, expected) in @case["metrics"]!.AsObject().Where(m => !m.Key.StartsWith("logits/", StringComparison.Ordinal))) AssertNear(loss.Metrics[metric], (double)expected!, 1e-5, $"{id}, {metric}");
                var norm = Fixtures.GradientNorm(deltas);
                Assert.That(double.IsFinite(norm));
                // TRL's own is not a number where its float32 probabilities underflow.
                if (@case["grad_norm"] is JsonValue given && given.TryGetValue<double>(out var theirs)) AssertNear(norm, theirs, 1e-4, $"{id}, gradient norm");
                seen++;
            }
        });
        Assert.That(seen, Is.EqualTo(11));
    }

    [Test]
    public void Kto_takes_the_answers_of_z0_from_the_row_before_and_refuses_a_batch_of_one()
    {
        var rows = Fixtures.Records(Fixtures.Path("trajectories", "data", "unpaired.json"));
        var method = Fixtures.Method<KtoPlugin, KtoOptions>("kto", new KtoOptions());
        var context = new PrepareContext(null, 1024, new MaskLedger()) { BatchSize = 4 };
        var arranged = ((IArrangesRecords)method).Arrange(rows, context);
        Assert.That(arranged, Has.Count.EqualTo(rows.Count));
        foreach (var (batch, given) in arranged.Chunk(4).Zip(rows.Chunk(4)))
            Assert.That(method.Prepare(batch, context).Select(g => g.Completions.Single(c => !c.Gradient).Tokens), Is.EqualTo(given.Select(r => r.Ids("KL_completion_ids"))));
        Assert.That(() => ((IArrangesRecords)method).Arrange(rows, context with { BatchSize = 1 }), Throws.InstanceOf<UserErrorException>().With.Message.Contains("batch_size is 1"));
        var apo = Fixtures.Method<KtoPlugin, KtoOptions>("kto", new KtoOptions { LossType = "apo_zero_unpaired" });
        Assert.That(apo.Prepare(arranged, context).All(g => g.Completions.All(c => c.Gradient)), "apo_zero_unpaired measures nothing");
    }

    // kto-eval/make.py asked TRL: it takes z0's answers of eval_data from as many rows as a training batch has, however many it measures at a time.
    [Test]
    public void Kto_measures_eval_data_as_TRL_does([Values(4, 5)] int batch, [Values(1, 3, 4, 8)] int measured)
    {
        var golden = Fixtures.Json(Fixtures.Path("trajectories", "kto-eval", "golden.json"));
        var expected = golden["cases"]!.AsArray().Single(c => ((int)c!["batch_size"]!, (int)c["eval_batch_size"]!) == (batch, measured))!["metrics"]!.AsObject();
        var rows = Fixtures.Records(Fixtures.Path("trajectories", "data", "unpaired.json")).Take((int)golden["rows"]!).ToList();
        var files = Fixtures.Adapter(Fixtures.Path("trajectories", "kto", "adapter_final"));
        var run = Fixtures.SmallRun(Folder, new TrainingOptions { MaxSteps = 1, BatchSize = batch, EvalBatchSize = measured, LearningRate = 0, Shuffle = false });
        Trainer.Train(run with
        {
            Records = rows,
            EvalRecords = rows,
            Method = Fixtures.Method<KtoPlugin, KtoOptions>("kto", new KtoOptions { Beta = 0.2, UndesirableWeight = 1.5 }),
            Adapter = Fixtures.Lora(files.Config).Load(run.Model.Outline("base-model"), files),
            Reference = new ReferencePolicy(run.Model, ForwardMode.Plain),
        });
        var row = JsonNode.Parse(File.ReadLines(Path.Combine(Folder, "metrics.jsonl")).Single())!;
        Assert.Multiple(() =>
        {
            foreach (var (metric, value) in expected.Where(m => m.Key != "epoch")) AssertNear((double)row[metric]!, (double)value!, 1e-5, metric);
        });
    }

    private static IAlignmentMethod Method(JsonObject @case, double cpoAlpha) => (string)@case["trainer"]! == "ORPO"
        ? Fixtures.Method<OrpoPlugin, OrpoOptions>("orpo", new OrpoOptions { Beta = (double)@case["beta"]! })
        : Fixtures.Method<CpoPlugin, CpoOptions>("cpo", new CpoOptions
        {
            LossType = (string)@case["loss_type"]!,
            Beta = (double)@case["beta"]!,
            CpoAlpha = cpoAlpha,
            LabelSmoothing = (double)@case["label_smoothing"]!,
            SimpoGamma = (double)@case["simpo_gamma"]!,
            Alpha = (double)@case["alpha"]!,
        });

    private static JsonObject Row(SafetensorsFile tensors, int row)
    {
        var fields = new JsonObject();
        foreach (var side in (string[])["chosen", "rejected"])
        {
            var length = (int)tensors.Tensor(side + "_attention_mask").select(0, row).sum().item<long>();
            foreach (var name in (string[])["input_ids", "labels"])
                fields[$"{side}_{name}"] = new JsonArray([.. tensors.Tensor($"{side}_{name}").select(0, row).narrow(0, 0, length).data<long>().ToArray().Select(id => (JsonNode)(int)id)]);
        }
        return fields;
    }

    private static float[] Floats(JsonNode list) => [.. list.AsArray().Select(v => v is JsonValue value && value.TryGetValue<string>(out var text) ? (text == "inf" ? float.PositiveInfinity : text == "-inf" ? float.NegativeInfinity : float.NaN) : (float)(double)v!)];

    private static void AssertNear(double actual, double expected, double tolerance, string what) =>
        Assert.That(actual, Is.EqualTo(expected).Within(tolerance * Math.Max(1, Math.Abs(expected))), what);

    private static void AssertClose(double actual, double expected, string what)
    {
        if (!double.IsFinite(expected)) return;
        Assert.That(actual, Is.EqualTo(expected).Within(2e-5 * Math.Max(0.1, Math.Abs(expected))), what);
    }
}
