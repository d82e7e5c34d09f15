// Sums, means and discounted tails of completions side by side, against sums made one by one.

using PeftAlign.Torch;

namespace PeftAlign.Algebra.Tests;

public sealed class SequencesTests
{
    // Three completions of 3, 1 and 4 tokens; the second token of the last is not scored.
    private static readonly int[] Lengths = [3, 1, 4];
    private static readonly float[] Weights = [1, 1, 1, 1, 1, 0, 1, 1];
    private static readonly float[] Values = [-1, -2, -4, -8, -16, -32, -64, -128];

    private DisposeScope? scope;

    [SetUp]
    public void Open() => scope = torch.NewDisposeScope();

    [TearDown]
    public void Close() => scope?.Dispose();

    private static double[] Numbers(Tensor tensor) => tensor.detach().to(torch.float64).data<double>().ToArray();

    private static Sequences Batch => Sequences.Of(Lengths, torch.tensor<float>(Weights));

    [Test]
    public void Sums_counts_and_means_skip_tokens_without_weight()
    {
        var values = torch.tensor<float>(Values);
        Assert.That(Batch.Count, Is.EqualTo(3));
        Assert.That(Numbers(Batch.Tokens), Is.EqualTo((double[])[3, 1, 3]));
        Assert.That(Numbers(Batch.Sum(values)), Is.EqualTo((double[])[-7, -8, -208]));
        Assert.That(Numbers(Batch.Mean(values)), Is.EqualTo((double[])[-7 / 3.0, -8, -208 / 3.0]).Within(1e-12));
        Assert.That(Batch.TokenMean(values).item<double>(), Is.EqualTo(-223 / 7.0).Within(1e-12));
    }

    // A completion that is only read, or a batch of them, has no mean of its own and must not make one of the others' numbers NaN.
    [Test]
    public void A_completion_without_a_scored_token_has_the_mean_0()
    {
        var values = torch.tensor<float>((float[])[-1, -2, -3]);
        Assert.That(Numbers(Sequences.Of([2, 1], torch.tensor<float>((float[])[0, 0, 1])).Mean(values)), Is.EqualTo((double[])[0, -3]));
        Assert.That(Sequences.Of([2, 1], torch.zeros([3])).TokenMean(values).item<double>(), Is.Zero);
    }

    [Test]
    public void Tails_are_discounted_after_the_scored_tokens_given()
    {
        var sums = Batch.SumWithDiscountedTail(torch.tensor<float>(Values), torch.tensor<double>((double[])[2, 1, 1]), 0.25);
        Assert.That(Numbers(sums), Is.EqualTo((double[])[-1 - 2 - 1, -8, -16 - 16 - 32]).Within(1e-12));
    }

    [Test]
    public void Gradients_reach_scored_tokens_alone()
    {
        var values = torch.tensor<float>(Values, requires_grad: true);
        (Batch.Sum(values) * torch.tensor<double>((double[])[1, 10, 100])).sum().backward();
        Assert.That(Numbers(values.grad!), Is.EqualTo((double[])[1, 1, 1, 10, 100, 0, 100, 100]));
    }

    // 4,000 values that float32 could not add up: each addition would lose 2^-24 of the running sum.
    [Test]
    public void Long_sums_keep_their_small_parts()
    {
        var values = Enumerable.Repeat(-0.1f, 4000).Prepend(-1e6f).ToArray();
        var sum = Sequences.Of([4001], torch.ones([4001])).Sum(torch.tensor<float>(values)).item<double>();
        Assert.That(sum, Is.EqualTo(-1e6 - (4000 * (double)0.1f)).Within(1e-8));
    }

    [Test]
    public void Pairs_are_told_apart_by_place()
    {
        var values = torch.tensor<double>((double[])[1, 2, 3, 4]);
        Assert.That(Numbers(Sequences.First(values)), Is.EqualTo((double[])[1, 3]));
        Assert.That(Numbers(Sequences.Second(values)), Is.EqualTo((double[])[2, 4]));
    }

    [Test]
    public void Lengths_that_do_not_fit_are_refused()
    {
        Assert.That(() => Sequences.Of([3, 1], torch.ones([5])), Throws.ArgumentException.With.Message.Contains("4 tokens").And.Message.Contains("5 weights"));
        Assert.That(() => Sequences.Of([5, 0], torch.ones([5])), Throws.ArgumentException);
    }
}
