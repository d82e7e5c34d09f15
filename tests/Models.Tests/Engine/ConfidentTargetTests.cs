// The gradient by a hidden row under a head in bfloat16 where the target is nearly certain: W[y] - p W is then a small difference of
// large numbers, and a p that was rounded by itself leaves nothing of it. Every way to it against float64 and against the form of
// transformers, which rounds p - 1. The entries are so few bits that logits are exact in any order of sums.

using PeftAlign.Models.Engine;
using PeftAlign.Torch;

namespace PeftAlign.Models.Tests.Engine;

public sealed class ConfidentTargetTests : ScopedTest
{
    private const int Rows = 24, Width = 32, Vocabulary = 40;
    private const double Limit = 1.0 / 128; // of a row's norm: the weights are rounded, and the sum once more

    private static Tensor Head => (Tiny.Normal("head", [Vocabulary, Width], torch.float64) * 2).round().div_(4).clamp_(-1.5, 1.5);

    private static Tensor Targets => torch.arange(Rows, torch.int64, TestDevice.Here).remainder(Vocabulary);

    // Row k points at its target, k / 16 as far as the target's row of the head: from indifferent to certain.
    private static Tensor Hidden => Head.index_select(0, Targets) * torch.arange(Rows, torch.float64, TestDevice.Here).div_(16).unsqueeze(1);

    private static Tensor Logits(torch.ScalarType type) => Hidden.mm(Head.t()).to(torch.bfloat16).to(type);

    private static Tensor OneHot => torch.zeros([Rows, Vocabulary], torch.float64, TestDevice.Here).scatter_add_(1, Targets.unsqueeze(1), torch.ones([Rows, 1], torch.float64, TestDevice.Here));

    // Of each row the error as a share of its norm.
    private static double[] Errors(Tensor actual, Tensor expected) =>
        [.. ((actual.to(torch.float64) - expected).norm(1, false, 2) / expected.norm(1, false, 2)).cpu().data<double>().ToArray()];

    private static void AssertAsGoodAsTransformers(Tensor actual)
    {
        var expected = (OneHot - Logits(torch.float64).softmax(1)).mm(Head);
        var theirs = (OneHot.to(torch.float32) - Logits(torch.float32).softmax(1)).to(torch.bfloat16).mm(Head.to(torch.bfloat16));
        var (mine, known) = (Errors(actual, expected), Errors(theirs, expected));
        for (var row = 0; row < Rows; row++) Assert.That(mine[row], Is.LessThan(Math.Max(Limit, 2 * known[row])), $"row {row}, where transformers' form is off by {known[row]:g3}");
        Assert.That(known.Max(), Is.LessThan(Limit), "of rows for which that form is right");
    }

    [Test]
    public void Rows_are_from_indifferent_to_certain()
    {
        double[] missing = [.. (1 - Logits(torch.float64).softmax(1).gather(1, Targets.unsqueeze(1))).view(-1).cpu().data<double>().ToArray()];
        Assert.That(missing.Max(), Is.GreaterThan(0.9));
        foreach (var (least, most) in ((double, double)[])[(0.05, 0.2), (0.005, 0.02), (1e-5, 0.002)]) Assert.That(missing, Has.Some.InRange(least, most), "1 - p");
    }

    // On the processor without logits in memory where its products are ours, in one pass where they are libtorch's; composed elsewhere.
    [Test]
    public void The_slopes_that_a_frozen_head_keeps()
    {
        var hidden = Hidden.to(torch.bfloat16).requires_grad_();
        var logProbs = HeadLogProbs.apply(hidden, Head.to(torch.bfloat16), Targets, new HeadAnswers([], rows: 9))[0];
        AssertAsGoodAsTransformers(torch.autograd.grad([logProbs.sum()], [hidden])[0]);
    }

    [Test]
    public void The_slopes_from_logits() =>
        AssertAsGoodAsTransformers(TokenDistributions.Of(Logits(torch.bfloat16), Targets, gradients: true, cap: 0).Slopes(Head.to(torch.bfloat16)));

    [Test]
    public void The_gradient_under_a_trained_head()
    {
        var (hidden, head) = (Hidden.to(torch.bfloat16).requires_grad_(), Head.to(torch.bfloat16).requires_grad_());
        var logProbs = HeadLogProbs.apply(hidden, head, Targets, new HeadAnswers([], rows: 9))[0];
        AssertAsGoodAsTransformers(torch.autograd.grad([logProbs.sum()], [hidden])[0]);
    }

    // Of indifferent rows, where mean W and p W are nearly the same.
    [Test]
    public void The_mean_of_all_log_probs_from_logits()
    {
        var rows = TokenDistributions.Of(Logits(torch.bfloat16), Targets, gradients: true, cap: 0);
        var expected = (1.0 / Vocabulary - Logits(torch.float64).softmax(1)).mm(Head);
        var errors = Errors(rows.MeanSlopes(Head.to(torch.bfloat16)), expected);
        Assert.That(errors.Skip(1), Is.All.LessThan(Limit), "where they are not the same");
        AssertAsGoodAsTransformers(rows.Slopes(Head.to(torch.bfloat16)));
    }
}
