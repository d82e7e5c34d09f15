// One update's loss and gradients do not depend on how they are computed: packs, chunks of the head, memory splits, shared prompts. For
// SFT and DPO, of an adapter under dropout and of all weights.

using PeftAlign.Abstractions;
using PeftAlign.Methods.Dpo;
using PeftAlign.Models;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Torch;

namespace PeftAlign.Training.Tests;

public sealed class InvarianceTests : TrainingTest
{
    private sealed record Way(long PackRows, long ChunkRows, bool Recompute, bool Apart);

    private static readonly Way Plain = new(2048, 256, false, false);

    private static readonly Way[] Ways = [new(1, 7, false, false), new(64, 256, true, false), new(50, 5, true, false), new(4096, 1, true, false), new(4096, 256, false, true), new(50, 5, true, true)];

    [Test]
    public void Packs_chunks_splits_and_shared_prompts_change_nothing([Values("sft", "dpo")] string objective, [Values(true, false)] bool adapter)
    {
        var method = objective == "sft" ? Fixtures.Sft() : Fixtures.Dpo(new DpoOptions { LossType = ["sigmoid", "aot", "sft"], LossWeights = [1, 0.5, 0.2], UseWeighting = false, LdAlpha = 0.4, DisableDropout = false });
        var records = Fixtures.Records(Fixtures.Path("trajectories", "data", objective == "sft" ? "prompt-completion.json" : "pairs.json"));
        var groups = method.Prepare([.. records.Take(12)], new PrepareContext(null, 1024, new MaskLedger()));
        foreach (var way in Ways.Where(way => !way.Apart || objective == "dpo"))
        {
            using var scope = torch.NewDisposeScope();
            // A prompt of its own for each answer has dropout decisions of its own: it is compared without.
            var (loss, gradients) = Update(method, groups, adapter, Plain, dropped: !way.Apart);
            var (again, theirs) = Update(method, groups, adapter, way, dropped: !way.Apart);
            Assert.That(again, Is.EqualTo(loss).Within(1e-5), $"{way}");
            Assert.That(theirs.Keys, Is.EquivalentTo(gradients.Keys));
            foreach (var (name, mine) in gradients)
                Assert.That((mine - theirs[name]).abs().max().item<float>(), Is.LessThanOrEqualTo(1e-4 * Math.Max(0.1, mine.abs().max().item<float>())), $"{way}: {name}");
        }
    }

    private static (double Loss, Dictionary<string, Tensor> Gradients) Update(IAlignmentMethod method, IReadOnlyList<CompletionGroup> groups, bool adapter, Way way, bool dropped)
    {
        var (model, start) = (ModelFolder.Load(Fixtures.Path("trajectories", "base-model"), device: TestDevice.Here), ModelFolder.Load(Fixtures.Path("trajectories", "base-model"), device: TestDevice.Here));
        var (leaves, deltas) = (new Dictionary<string, Tensor>(), new Dictionary<string, Delta>());
        foreach (var site in adapter ? Fixtures.Lora(Fixtures.Json(Fixtures.Path("trajectories", "dpo-lora", "adapter_init", "adapter_config.json")), dropout: 0.2).Attach(model.Outline("base-model"), 5) : [])
        {
            deltas[site.Module] = site.Delta.With(role => leaves[$"{site.Module}.{role}"] = Leaf(site.Delta.Parameters[role], $"{site.Module}.{role}", 0.1));
        }
        foreach (var (name, weight) in adapter ? [] : model.Weights.ToList()) model.SetWeight(name, leaves[name] = Leaf(weight, name, 0.01));
        var batch = way.Apart ? [.. groups.SelectMany(g => g.Completions.Select(c => g with { Completions = [c] }))] : groups;
        var engine = new LogProbEngine(model, way.PackRows, way.ChunkRows);
        var needs = new PassNeeds { Reference = method.Needs.Reference ? new(start, ForwardMode.Plain) : null, Statistics = method.Needs.Statistics, Recompute = way.Recompute };
        using var pass = engine.Pass(batch, new ForwardMode { Deltas = deltas, Dropout = dropped ? new DropoutKey(1, 2) : null }, needs);
        var loss = method.Loss(new ScoredBatch(batch, pass.LogProbs, engine.Weights(batch)) { ReferenceLogProbs = pass.Reference, Statistics = pass.Statistics });
        loss.Numerator.backward();
        pass.Backward();
        return (loss.Numerator.item<double>() / loss.Denominator, leaves.ToDictionary(l => l.Key, l => l.Value.grad! / loss.Denominator));
    }

    // Away from the start, where policy and reference agree and B is zero.
    private static Tensor Leaf(Tensor value, string name, double noise) =>
        (value.detach() + torch.empty_like(value).normal_(0, noise, new torch.Generator((ulong)name.Length))).requires_grad_();
}
