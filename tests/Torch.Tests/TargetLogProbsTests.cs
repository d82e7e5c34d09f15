// The kernel of the head's figures against the same composed in float64.

using PeftAlign.Torch.Extras;

namespace PeftAlign.Torch.Tests;

public sealed class TargetLogProbsTests(string instructions) : KernelTests(instructions)
{
    // Widths around the 16 lanes and the 512 entries that are summed at once.
    [TestCase(1, 1)]
    [TestCase(3, 16)]
    [TestCase(40, 33)]
    [TestCase(5, 512)]
    [TestCase(70, 1041)]
    [TestCase(9, 32_000)]
    public void Figures_and_exponentials_agree_with_float64(long rows, long width)
    {
        using var scope = torch.NewDisposeScope();
        var logits = (Near.Random([rows, width], "logits") * 6).to(torch.float32);
        var targets = torch.arange(rows).remainder(width);
        var (wide, before) = (logits.to(torch.float64), logits.clone());
        var figures = Fused.TargetLogProbs(logits, targets, keep: false);
        Assert.That(logits.equal(before), Is.True, "nothing is written");
        var logProbs = wide.log_softmax(-1, torch.float64);
        Tensor[] expected =
        [
            logProbs.gather(1, targets.unsqueeze(1)).squeeze(1), logProbs.mean([1]), (logProbs.exp() * logProbs).sum(1).neg_(), wide.argmax(1).eq(targets).to(torch.float64), (logProbs * 2).logsumexp(1),
            wide.mean([1]), 1 / (wide - wide.amax([1], keepdim: true)).exp().sum(1),
        ];
        foreach (var figure in Enum.GetValues<TargetFigure>()) Near.AssertNear(figures.select(0, (long)figure), expected[(int)figure], 2e-6);
        Assert.That(Fused.TargetLogProbs(logits, targets, keep: true).equal(figures), Is.True);
        Near.AssertNear(logits * figures.select(0, (long)TargetFigure.InverseSum).unsqueeze(1), logProbs.exp(), 1e-6);
    }

    [Test]
    public void Bfloat16_is_read_as_it_is_and_only_what_is_kept_is_rounded()
    {
        using var scope = torch.NewDisposeScope();
        var logits = (Near.Random([7, 100], "logits") * 6).to(torch.bfloat16);
        var (targets, wide) = (torch.arange(7), logits.to(torch.float64));
        var figures = Fused.TargetLogProbs(logits, targets, keep: true);
        Near.AssertNear(figures.select(0, 0), wide.log_softmax(-1, torch.float64).gather(1, targets.unsqueeze(1)).squeeze(1), 2e-6);
        Near.AssertNear(logits.to(torch.float64), (wide - wide.amax([1], keepdim: true)).exp(), 1.0 / 256);
    }

    // As libtorch's argmax has it, so that a hit is one whichever way it is computed.
    [Test]
    public void Of_equal_logits_the_first_is_the_most_probable()
    {
        using var scope = torch.NewDisposeScope();
        var logits = torch.tensor([0f, 3, 3, 1, 0, 3, 3, 1]).view(2, 4);
        Assert.That(Hits(logits, 1, 2), Is.EqualTo((float[])[1, 0]));
        Assert.That(Hits(torch.full([2, 4], -3e38, torch.float32), 0, 3), Is.EqualTo((float[])[1, 0]));
    }

    [Test]
    public void Logits_that_are_not_finite_are_not_hidden()
    {
        using var scope = torch.NewDisposeScope();
        var logits = torch.tensor([0f, float.NaN, 1, 0, float.PositiveInfinity, 1, 0, float.NegativeInfinity, 1]).view(3, 3);
        var figures = Fused.TargetLogProbs(logits, torch.tensor([0L, 0, 0]), keep: false).select(0, 0).data<float>().ToArray();
        Assert.That(figures[0], Is.NaN);
        Assert.That(figures[1], Is.NaN.Or.EqualTo(float.NegativeInfinity));
        Assert.That(figures[2], Is.EqualTo(-Math.Log(1 + Math.E)).Within(1e-6), "a forbidden token takes no part");
    }

    [TestCase(4L, "of 4 entries")]
    [TestCase(-1L, "of 4 entries")]
    public void A_target_that_is_no_entry_is_refused(long target, string said)
    {
        using var scope = torch.NewDisposeScope();
        Assert.That(() => Fused.TargetLogProbs(torch.zeros([1, 4], torch.float32), torch.tensor([target]), keep: false), Throws.TypeOf<TorchException>().With.Message.Contains(said));
    }

    private static float[] Hits(Tensor logits, params long[] targets) =>
        Fused.TargetLogProbs(logits, torch.tensor(targets), keep: false).select(0, (long)TargetFigure.ArgmaxHit).data<float>().ToArray();
}
