// What the engine makes of an adapter's deltas, on a decoder of two blocks with random weights: switched off it is the base bit for bit,
// in weights it computes the same and comes out of them again, and computing blocks again in the backward pass changes no bit.

using System.Text.Json;
using PeftAlign.Abstractions;
using PeftAlign.Models.Adapters;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Testing;

internal static class AdapterEngineKit
{
    private static readonly Dictionary<string, object> Config = new()
    {
        ["model_type"] = "llama",
        ["vocab_size"] = 32,
        ["hidden_size"] = 8,
        ["intermediate_size"] = 16,
        ["num_hidden_layers"] = 2,
        ["num_attention_heads"] = 4,
        ["num_key_value_heads"] = 2,
        ["max_position_embeddings"] = 64,
        ["rms_norm_eps"] = 1e-5,
    };

    private static readonly CompletionGroup[] Batch =
        [new([3, 5, 7], [Completion.Of([4, 9, 2]), Completion.Of([11, 6])]), new([8], [Completion.Of([1, 30, 17, 4, 12])]), new([2, 2, 19, 5], [Completion.Of([21])])];

    /// <summary>The kit's decoder, with grouped keys and values, embeddings and head.</summary>
    internal static DecoderSpec Spec { get; } = ModelArchitectures.BuiltIn.Describe(ModelConfig.Of(JsonSerializer.SerializeToElement(Config)));

    /// <summary>Each rule takes what attaches a new adapter to a model.</summary>
    internal static (string Rule, Action<Func<ModelOutline, IReadOnlyList<AdapterSite>>> Check)[] Rules =>
    [
        ("leaves the base as it was", LeavesTheBase),
        ("computes in weights what it computes beside them", ComputesTheSameInWeights),
        ("gives the same bits under gradient checkpointing", GivesTheSameBitsUnderCheckpointing),
    ];

    private static void LeavesTheBase(Func<ModelOutline, IReadOnlyList<AdapterSite>> attach)
    {
        var model = Model();
        var before = LogProbs(model, []);
        var sites = Trained(model, attach);
        Expect.That(!LogProbs(model, sites).equal(before), "With changed tensors the adapter must change log-probs; it changed none.");
        Expect.That(LogProbs(model, []).equal(before), "With the adapter switched off the model must be the base bit for bit; log-probs differ.");
    }

    // An adapter that no weights can hold says so.
    private static void ComputesTheSameInWeights(Func<ModelOutline, IReadOnlyList<AdapterSite>> attach)
    {
        var model = Model();
        var before = LogProbs(model, []);
        var sites = Trained(model, attach);
        var beside = LogProbs(model, sites);
        IReadOnlyDictionary<string, Tensor> merged;
        try
        {
            merged = AdapterMerge.Tensors(model, sites);
        }
        catch (UserErrorException)
        {
            return;
        }
        var own = merged.Keys.ToDictionary(name => name, name => model.Weights[name]);
        foreach (var (name, tensor) in merged) model.SetWeight(name, tensor);
        var apart = (LogProbs(model, []) - beside).abs().max().item<double>();
        Expect.That(apart <= 1e-4, $"Merged into weights the adapter gives log-probs {apart:0.######} away from those beside them.");
        foreach (var (name, tensor) in own) model.SetWeight(name, tensor);
        Expect.That(LogProbs(model, []).equal(before), "Taken out of the weights again the adapter must leave the base bit for bit; log-probs differ.");
    }

    private static void GivesTheSameBitsUnderCheckpointing(Func<ModelOutline, IReadOnlyList<AdapterSite>> attach)
    {
        var model = Model();
        var sites = Trained(model, attach).ToList();
        (Tensor LogProbs, List<(string Name, Tensor? Gradient)> Gradients) Passed(bool recompute)
        {
            var own = sites.ConvertAll(site => site with { Delta = site.Delta.With(role => site.Delta.Parameters[role].detach().clone().requires_grad_()) });
            using var pass = new LogProbEngine(model).Pass(Batch, new ForwardMode { Deltas = AdapterLayers.Deltas(own), Dropout = new DropoutKey(3, 1) }, new PassNeeds { Recompute = recompute });
            pass.LogProbs.square().sum().backward();
            pass.Backward();
            return (pass.LogProbs.detach(), [.. own.SelectMany(site => site.Delta.Parameters.Select(p => ($"{site.Module}.{p.Key}", p.Value.grad)))]);
        }
        var (kept, again) = (Passed(false), Passed(true));
        Expect.That(again.LogProbs.equal(kept.LogProbs), "Log-probs differ where blocks are computed again.");
        foreach (var ((name, mine), (_, theirs)) in again.Gradients.Zip(kept.Gradients))
            Expect.That(mine is null == theirs is null && (mine is null || mine.equal(theirs!)), $"The gradient of {name} differs where blocks are computed again.");
        Expect.That(kept.Gradients.Exists(g => g.Gradient is not null && g.Gradient.abs().max().item<float>() > 0), "No gradient reaches a tensor of the adapter.");
    }

    /// <summary>The kit's decoder as adapters see it.</summary>
    internal static ModelOutline Outline() => Model().Outline("sample-model");

    private static DecoderModel Model() => new(Spec, Spec.Weights().ToDictionary(w => w.Name, w => w.Role == WeightRole.Norm ? torch.ones(w.Shape) : Draw(w.Name, w.Shape, 0.4)));

    // As if trained: a part that begins as zero would hide what it does.
    private static IReadOnlyList<AdapterSite> Trained(DecoderModel model, Func<ModelOutline, IReadOnlyList<AdapterSite>> attach)
    {
        using var off = torch.no_grad();
        var sites = attach(model.Outline("sample-model"));
        foreach (var site in sites)
            foreach (var (role, tensor) in site.Delta.Parameters) tensor.add_(Draw($"{site.Module}.{role}", tensor.shape, 0.2));
        return sites;
    }

    private static Tensor Draw(string name, long[] shape, double size) => new CounterStream(5, "kit", name).Normal(shape, 0, size);

    private static Tensor LogProbs(DecoderModel model, IReadOnlyList<AdapterSite> sites)
    {
        using var off = torch.no_grad();
        return new LogProbEngine(model).LogProbs(Batch, new ForwardMode { Deltas = AdapterLayers.Deltas([sites]) });
    }
}
