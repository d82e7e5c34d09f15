// What must not change a result: which groups share a batch, their order, packs, buckets, head chunks, and whether a
// prompt is computed once for its completions. In float64 to 1e-10, so that what is left in float32 is rounding alone.

using PeftAlign.Abstractions;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Torch;

namespace PeftAlign.Models.Tests.Engine;

[TestFixture(torch.ScalarType.Float32, 5e-5)]
[TestFixture(torch.ScalarType.Float64, 1e-10)]
public sealed class InvarianceTests(torch.ScalarType dtype, double tolerance) : ScopedTest
{
    private static readonly List<CompletionGroup> Batch = [.. Tiny.Groups(12), .. Tiny.Groups(2, longest: 150), .. Tiny.Groups(9, completions: 1)];

    private double[][] Alone(DecoderModel model, ForwardMode? mode = null) =>
        Batch.Select(g => Tiny.Answers(model, [g], mode: mode)[0]).ToArray();

    [TestCase(1)]
    [TestCase(64)]
    [TestCase(4096)]
    public void Batch_composition_and_packing(long packRows)
    {
        var model = Tiny.Model(dtype);
        Tiny.AssertNear(Tiny.Answers(model, Batch, packRows), Alone(model), tolerance);
    }

    [TestCase(1)]
    [TestCase(7)]
    public void Chunks_of_the_head(long chunkRows)
    {
        var model = Tiny.Model(dtype, Tiny.Spec(tied: true));
        Tiny.AssertNear(Tiny.Answers(model, Batch, chunkRows: chunkRows), Alone(model), tolerance);
    }

    [Test]
    public void Order_of_the_batch()
    {
        var model = Tiny.Model(dtype);
        var reversed = Tiny.Answers(model, Enumerable.Reverse(Batch).ToList());
        Tiny.AssertNear(Enumerable.Reverse(reversed).ToArray(), Alone(model), tolerance);
    }

    [Test]
    public void A_shared_prompt_equals_a_prompt_for_each_completion()
    {
        var model = Tiny.Model(dtype);
        var apart = Batch.SelectMany(g => g.Completions.Select(c => new CompletionGroup(g.Prompt, [c]))).ToList();
        var answers = new Queue<double[]>(Tiny.Answers(model, apart));
        var joined = Batch.Select(g => g.Completions.SelectMany(_ => answers.Dequeue()).ToArray()).ToArray();
        Tiny.AssertNear(Tiny.Answers(model, Batch), joined, tolerance);
    }

    [TestCase(1)]
    [TestCase(64)]
    public void Dropout_does_not_depend_on_packing(long packRows)
    {
        var model = Tiny.Model(dtype);
        ForwardMode Mode(long step) => new() { Deltas = Tiny.Deltas(model, dtype, dropout: 0.4), Dropout = new DropoutKey(3, step) };
        var whole = Tiny.Answers(model, Batch, 4096, mode: Mode(5));
        Tiny.AssertNear(Tiny.Answers(model, Batch, packRows, mode: Mode(5)), whole, tolerance);
        var other = Tiny.Answers(model, Batch, 4096, mode: Mode(6));
        var off = Tiny.Answers(model, Batch, 4096, mode: Mode(5) with { Dropout = null });
        foreach (var changed in (double[][][])[other, off])
            Assert.That(changed.Zip(whole).SelectMany(p => p.First.Zip(p.Second)).Max(p => Math.Abs(p.First - p.Second)), Is.GreaterThan(0.01), "dropout must change the result");
    }

    [TestCase(1)]
    [TestCase(64)]
    public void Gradients_do_not_depend_on_packing(long packRows)
    {
        var model = Tiny.Model(dtype);
        List<Tensor> Gradients(long rows, long chunk)
        {
            var deltas = Tiny.Deltas(model, dtype).ToDictionary(d => d.Key, d => d.Value.With(role => d.Value.Parameters[role].detach().requires_grad_()));
            new LogProbEngine(model, rows, chunk).LogProbs(Batch, new ForwardMode { Deltas = deltas }).sum().backward();
            return deltas.Values.SelectMany(d => d.Parameters.Values).Select(p => p.grad!).ToList();
        }
        foreach (var (few, many) in Gradients(packRows, 5).Zip(Gradients(4096, 256)))
            Assert.That(Tiny.Worst(few, many), Is.LessThanOrEqualTo(tolerance * Math.Max(1, many.abs().max().item<double>())));
    }
}
