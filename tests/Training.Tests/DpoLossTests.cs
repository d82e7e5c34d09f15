// DPO's losses, gradients and metrics against TRL's tables: given log-probs (mixed and extreme), and a real batch through a model
// with an adapter. Where TRL's float32 is not finite its float64 value counts. What TRL refuses is refused.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Methods.Dpo;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Torch;

namespace PeftAlign.Training.Tests;

public sealed class DpoLossTests : TrainingTest
{
    [Test]
    public void Tables_beside_the_tests() => Table(Fixtures.Path("losses"), "dpo-mixed");

    [TestCase("dpo-mixed")]
    [TestCase("dpo-edge")]
    public void Tables(string name) => Table(Fixtures.Golden("losses"), name);

    private static void Table(string root, string name)
    {
        using var tensors = SafetensorsFile.Open(Path.Combine(root, name + ".safetensors"));
        var batch = new Given(tensors);
        Assert.Multiple(() =>
        {
            foreach (var node in Fixtures.Json(Path.Combine(root, name + ".json"))["cases"]!.AsArray())
            {
                using var scope = torch.NewDisposeScope();
                Case(batch, tensors, node!.AsObject());
            }
        });
    }

    // The loss function alone, as tools that ignore unused options compute it: options of the case that no loss uses are left out.
    private static void Case(Given given, SafetensorsFile tensors, JsonObject @case)
    {
        var (id, options) = ((string)@case["id"]!, Options(@case));
        if (@case["error"] is not null && options.LossType.Contains("sft"))
        {
            Assert.That(() => Fixtures.Dpo(options), Throws.InstanceOf<UserErrorException>(), id);
            return;
        }
        var method = Fixtures.Dpo(options);
        var (batch, leaf) = given.Batch();
        var loss = method.Loss(batch);
        if (Value(@case["loss_float64"]) is { } exact && double.IsFinite(exact)) AssertNear(loss.Numerator.item<double>(), exact, 1e-5, id);
        else if (Value(@case["loss"] ?? @case["loss_without_backward"]) is { } single && double.IsFinite(single)) AssertNear(loss.Numerator.item<double>(), single, 1e-5, id);
        if (@case["metrics"] is JsonObject metrics)
            foreach (var (metric, expected) in metrics.Where(m => m.Value is JsonValue))
                AssertNear(loss.Metrics[metric], Value(expected)!.Value, 1e-5, $"{id}, {metric}");
        if (!tensors.Contains("grad/" + id)) return;
        loss.Numerator.backward();
        var reference = given.Flat(tensors.Tensor("grad/" + id));
        var mine = leaf.grad!;
        var finite = reference.isfinite();
        if (!finite.any().item<bool>()) return;
        var scale = Math.Max(1, reference.masked_select(finite).abs().max().item<float>());
        Assert.That((mine - reference).masked_select(finite).abs().max().item<float>() / scale, Is.LessThanOrEqualTo(1e-5), $"{id}, gradient");
    }

    [Test]
    public void Meanings_of_other_versions_have_names_of_their_own()
    {
        using var tensors = SafetensorsFile.Open(Path.Combine(Fixtures.Path("losses"), "dpo-mixed.safetensors"));
        var given = new Given(tensors);
        var names = new Dictionary<string, string>
        {
            ["conservative DPO"] = "cdpo",
            ["IPO with sums"] = "ipo_sum",
            ["reference-free sigmoid"] = "sigmoid_reference_free",
            ["pairwise BCO with shift"] = "bco_pair_shift",
            ["length-normalised DPO"] = "sigmoid_norm",
        };
        var cases = Fixtures.Json(Path.Combine(Fixtures.Path("losses"), "derived.json"))["cases"]!.AsArray();
        Assert.That(cases, Has.Count.EqualTo(12));
        foreach (var node in cases)
        {
            var options = new DpoOptions { LossType = [names[(string)node!["name"]!]], Beta = (double)node["beta"]!, LabelSmoothing = (double?)node["label_smoothing"] };
            AssertNear(Fixtures.Dpo(options).Loss(given.Batch().Batch).Numerator.item<double>(), (double)node["loss"]!, 1e-5, (string)node["name"]!);
        }
    }

    [TestCase("exo_pair", null, null, false, "label_smoothing above 0")]
    [TestCase("robust", 0.5, null, false, "less than 0.5")]
    [TestCase("aot", null, null, true, "sorts the batch")]
    [TestCase("aot_unpaired", null, null, true, "sorts the batch")]
    [TestCase("apo_zero", null, "js_divergence", false, "the losses that use it are sigmoid")]
    [TestCase("bco_pair", null, "forward_kl", false, "bco_pair")]
    [TestCase("nca_pair", null, "alpha_divergence", false, "nca_pair")]
    [TestCase("sppo_hard", null, "js_divergence", false, "sppo_hard")]
    [TestCase("kto_pair", null, null, false, "kto_pair")]
    public void Contradictions_are_refused(string loss, double? smoothing, string? divergence, bool weighting, string reason)
    {
        var options = new DpoOptions { LossType = [loss], LabelSmoothing = smoothing, FDivergenceType = divergence, UseWeighting = weighting };
        using var tensors = SafetensorsFile.Open(Path.Combine(Fixtures.Path("losses"), "dpo-mixed.safetensors"));
        Assert.That(() => Fixtures.Dpo(options).Loss(new Given(tensors).Batch().Batch), Throws.InstanceOf<UserErrorException>().With.Message.Contains(reason));
    }

    [Test]
    public void Weights_that_do_not_match_the_losses_are_refused_with_all_other_faults() =>
        Assert.That(() => Fixtures.Dpo(new DpoOptions { LossType = ["sigmoid", "exo_pair"], LossWeights = [1] }),
            Throws.InstanceOf<UserErrorException>().With.Message.Contains("1 entries and loss_type 2").And.Message.Contains("exo_pair needs"));

    // Through the model: the reference is the adapter switched off; the gradient's norm is over the adapter.
    [Test]
    public void A_real_batch()
    {
        var root = Fixtures.Golden("losses", "real");
        using var tensors = SafetensorsFile.Open(Path.Combine(root, "batch.safetensors"));
        var (model, deltas) = Fixtures.RealBatch();
        var groups = new Given(tensors).Groups;
        var engine = new LogProbEngine(model);
        var seen = 0;
        Assert.Multiple(() =>
        {
            foreach (var node in Fixtures.Json(Path.Combine(root, "dpo.json"))["cases"]!.AsArray().Select(n => n!.AsObject()).Where(c => c["error"] is null))
            {
                using var scope = torch.NewDisposeScope();
                foreach (var leaf in deltas.Values.SelectMany(d => d.Parameters.Values)) leaf.grad = null;
                var (id, method) = ((string)node["id"]!, Fixtures.Dpo(Options(node)));
                using var pass = engine.Pass(groups, new ForwardMode { Deltas = deltas }, new PassNeeds { Reference = new(model, ForwardMode.Plain), Statistics = method.Needs.Statistics });
                var loss = method.Loss(new ScoredBatch(groups, pass.LogProbs, engine.Weights(groups)) { ReferenceLogProbs = pass.Reference, Statistics = pass.Statistics });
                loss.Numerator.backward();
                pass.Backward();
                AssertNear(loss.Numerator.item<double>(), Value(node["loss"])!.Value, 1e-5, id);
                foreach (var (metric, expected) in node["metrics"]!.AsObject().Where(m => m.Key != "num_tokens")) AssertNear(loss.Metrics[metric], Value(expected)!.Value, 1e-5, $"{id}, {metric}");
                AssertNear(Fixtures.GradientNorm(deltas), Value(node["grad_norm"])!.Value, 1e-4, $"{id}, gradient norm");
                seen++;
            }
        });
        Assert.That(seen, Is.GreaterThan(140));
    }

    private static void AssertNear(double actual, double expected, double tolerance, string what) =>
        Assert.That(actual, Is.EqualTo(expected).Within(tolerance * Math.Max(1, Math.Abs(expected))), what);

    private static double? Value(JsonNode? node) => node switch
    {
        null => null,
        JsonValue value when value.TryGetValue<string>(out var text) => text switch { "inf" => double.PositiveInfinity, "-inf" => double.NegativeInfinity, _ => double.NaN },
        _ => (double)node!,
    };

    private static DpoOptions Options(JsonObject @case)
    {
        var divergence = (string?)@case["f_divergence_type"];
        return new DpoOptions
        {
            LossType = [.. @case["loss_type"]!.AsArray().Select(name => (string)name!)],
            LossWeights = @case["loss_weights"] is JsonArray weights ? [.. weights.Select(w => (double)w!)] : null,
            Beta = (double)@case["beta"]!,
            LabelSmoothing = (double)@case["label_smoothing"]!,
            FDivergenceType = divergence,
            FAlphaDivergenceCoef = (double)@case["f_alpha_divergence_coef"]!,
            LdAlpha = (double?)@case["ld_alpha"],
            UseWeighting = (bool)@case["use_weighting"]!,
            DiscopopTau = (double)@case["discopop_tau"]!,
        };
    }

    /// <summary>Given log-probs [all chosen; all rejected], (2 P, T - 1) with an unshifted completion mask (2 P, T), as groups.</summary>
    private sealed class Given
    {
        private readonly SafetensorsFile tensors;
        private readonly List<(int Row, int First, int Length)> completions = [];

        internal Given(SafetensorsFile tensors)
        {
            this.tensors = tensors;
            var (mask, attended) = (tensors.Tensor("completion_mask"), tensors.Tensor("attention_mask"));
            var pairs = (int)mask.size(0) / 2;
            for (var p = 0; p < pairs; p++)
            {
                var group = new List<Completion>();
                int[] prompt = [];
                foreach (var row in (int[])[p, pairs + p])
                {
                    var marks = mask.select(0, row).data<long>().ToArray();
                    var first = Array.IndexOf(marks, 1L);
                    var length = (int)marks.Sum();
                    var ids = tensors.Contains("input_ids") ? tensors.Tensor("input_ids").select(0, row).data<long>().ToArray().Select(i => (int)i).ToArray() : new int[marks.Length];
                    completions.Add((row, first - 1, length));
                    group.Add(Completion.Of(ids[first..(first + length)]));
                    prompt = ids[..first];
                }
                Groups.Add(new CompletionGroup(prompt, group));
            }
        }

        internal List<CompletionGroup> Groups { get; } = [];

        /// <summary>(N) the completions' entries of a padded tensor.</summary>
        internal Tensor Flat(Tensor padded) => torch.cat([.. completions.Select(c => padded.select(0, c.Row).narrow(0, c.First, c.Length))]).to(torch.float32);

        internal (ScoredBatch Batch, Tensor Leaf) Batch()
        {
            var leaf = Flat(tensors.Tensor("policy")).requires_grad_();
            return (new ScoredBatch(Groups, leaf, torch.ones([leaf.numel()]))
            {
                ReferenceLogProbs = Flat(tensors.Tensor("reference")),
                Statistics = new Dictionary<string, Tensor>
                {
                    ["entropy"] = Flat(tensors.Tensor("entropy")),
                    ["mean_logit"] = Flat(tensors.Tensor("mean_logits")),
                    ["argmax_hit"] = Flat(tensors.Tensor("is_top1")),
                    ["log_sum_square"] = Flat(tensors.Tensor("log_sum_sq_probs")),
                },
            }, leaf);
        }
    }
}
