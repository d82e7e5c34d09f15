// For every family: answers and gradients do not depend on the batch, its order, packs, buckets, head chunks, prompt sharing;
// and gradients are right by finite differences. In float64 to 1e-9, so that what is left in float32 is rounding alone.

using PeftAlign.Abstractions;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Torch;

namespace PeftAlign.Models.Tests.Engine;

public sealed class FamilyInvarianceTests : ScopedTest
{
    private static readonly List<CompletionGroup> Batch = [.. Tiny.Groups(7, longest: 14), .. Tiny.Groups(1, longest: 60)];

    private static IEnumerable<TestCaseData> Cases() => Families.Names.SelectMany(family => (TestCaseData[])
        [new(family, torch.ScalarType.Float64, 1e-9), new(family, torch.ScalarType.Float32, 5e-5)]);

    [TestCaseSource(nameof(Cases))]
    public void Answers_do_not_depend_on_how_they_are_computed(string family, torch.ScalarType dtype, double tolerance)
    {
        var model = Tiny.Model(dtype, Families.Spec(family));
        var alone = Batch.Select(g => Tiny.Answers(model, [g])[0]).ToArray();
        Assert.That(alone.SelectMany(a => a).Max() - alone.SelectMany(a => a).Min(), Is.GreaterThan(1), "the model has preferences");
        foreach (var (packRows, chunkRows) in ((long, long)[])[(1, 256), (40, 7), (4096, 1), (4096, 256)])
            Tiny.AssertNear(Tiny.Answers(model, Batch, packRows, chunkRows), alone, tolerance);
        Tiny.AssertNear(Enumerable.Reverse(Tiny.Answers(model, Enumerable.Reverse(Batch).ToList())).ToArray(), alone, tolerance);
        var apart = new Queue<double[]>(Tiny.Answers(model, Batch.SelectMany(g => g.Completions.Select(c => new CompletionGroup(g.Prompt, [c]))).ToList()));
        Tiny.AssertNear(Batch.Select(g => g.Completions.SelectMany(_ => apart.Dequeue()).ToArray()).ToArray(), alone, tolerance);
    }

    [TestCaseSource(nameof(Cases))]
    public void Logits_do_not_depend_on_what_follows(string family, torch.ScalarType dtype, double tolerance)
    {
        var model = Tiny.Model(dtype, Families.Spec(family));
        var row = Batch[^1].Prompt;
        // Of one class of frequencies: what depends on the length depends on the whole length.
        var (part, whole) = (row[..(row.Length - 3)], row);
        if (Place.Of(model).LengthClass is not null) (part, whole) = (row[..5], row[..9]);
        Assert.That(Tiny.Worst(GoldenFolder.Logits(model, part), GoldenFolder.Logits(model, whole).narrow(0, 0, part.Length)), Is.LessThan(2 * tolerance));
    }

    [TestCaseSource(nameof(Cases))]
    public void Gradients_do_not_depend_on_packing(string family, torch.ScalarType dtype, double tolerance)
    {
        Dictionary<string, Tensor> Gradients(long packRows, long chunkRows)
        {
            var model = Trainable(Tiny.Model(dtype, Families.Spec(family)));
            new LogProbEngine(model, packRows, chunkRows).LogProbs(Batch, ForwardMode.Plain).sum().backward();
            return model.Weights.ToDictionary(w => w.Key, w => w.Value.grad ?? throw new InvalidOperationException($"{w.Key} gets no gradient"));
        }
        var (few, many) = (Gradients(1, 5), Gradients(4096, 256));
        foreach (var (name, gradient) in many)
            Assert.That(Tiny.Worst(few[name], gradient), Is.LessThanOrEqualTo(2 * tolerance * Math.Max(1, gradient.abs().max().item<double>())), name);
    }

    [TestCaseSource(typeof(Families), nameof(Families.Names))]
    public void Gradients_by_finite_differences(string family)
    {
        var model = Trainable(Tiny.Model(torch.float64, Families.Spec(family)));
        var engine = new LogProbEngine(model, packRows: 30, chunkRows: 5);
        var groups = Batch[..3];
        Tensor Loss() => (engine.LogProbs(groups, ForwardMode.Plain) * torch.arange(groups.Sum(g => g.Completions.Sum(c => c.Tokens.Length)), torch.float64).sin()).sum();
        GradientTests.AssertGradients(Loss, model.Weights.Select(w => (w.Key, w.Value)), 2e-6, entries: 3);
    }

    // LoRA on every linear layer of the blocks, fused and transposed ones included.
    [TestCaseSource(typeof(Families), nameof(Families.Names))]
    public void Adapter_gradients_by_finite_differences(string family)
    {
        var model = Tiny.Model(torch.float64, Families.Spec(family));
        var deltas = Tiny.Deltas(model, torch.float64).ToDictionary(d => d.Key, d => d.Value.With(role => d.Value.Parameters[role].detach().requires_grad_()));
        Assert.That(deltas, Has.Count.EqualTo(model.Spec.Weights().Count(w => w.Role == WeightRole.Matrix)));
        var engine = new LogProbEngine(model, packRows: 30, chunkRows: 5);
        var groups = Batch[..3];
        Tensor Loss() => engine.LogProbs(groups, new ForwardMode { Deltas = deltas }).sum();
        GradientTests.AssertGradients(Loss, deltas.SelectMany(d => d.Value.Parameters.Select(p => ($"{d.Key}.{p.Key}", p.Value))), 2e-6, entries: 2);
    }

    private static DecoderModel Trainable(DecoderModel model)
    {
        foreach (var (name, weight) in model.Weights.ToList()) model.SetWeight(name, weight.detach().requires_grad_());
        return model;
    }
}
