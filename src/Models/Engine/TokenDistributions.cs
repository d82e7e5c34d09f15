// The distributions that rows of logits are: the targets' log-probs, what else is asked of them, and their gradients by the hidden
// rows. In float32 or bfloat16 on the processor without logits in memory, unless they are capped; else in one kernel where libtorch's
// operators one by one would pass over the logits six times; composed where logits are capped, in float64 and on other devices.

using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Models.Engine;

/// <summary>C rows of logits with a target each; results are (C), float32 or for float64 logits float64, and have no graph.</summary>
internal abstract class TokenDistributions
{
    /// <param name="logits">(C, V), this object's to overwrite.</param>
    /// <param name="targets">(C) int64.</param>
    /// <param name="gradients">Whether more than figures will be asked for.</param>
    /// <param name="cap">c of logits that were capped as c tanh(z / c); 0 = not capped.</param>
    internal static TokenDistributions Of(Tensor logits, Tensor targets, bool gradients, double cap) =>
        cap == 0 && Fused.Has(logits.device, logits.dtype) ? new InOnePass(logits, targets, gradients) : new Composed(logits, targets, cap);

    /// <summary>Whether there is <see cref="Under"/> for such rows.</summary>
    /// <param name="hidden">(C, d)</param>
    /// <param name="head">(V, d)</param>
    /// <param name="cap">As in Of.</param>
    internal static bool NeedNoLogits(Tensor hidden, Tensor head, double cap) => cap == 0 && Fused.HasHead(hidden, head);

    /// <summary>Of any number of hidden rows under a head, without their logits in memory.</summary>
    /// <param name="hidden">(C, d)</param>
    /// <param name="head">(V, d), and (V) or null.</param>
    /// <param name="targets">(C) int64.</param>
    /// <param name="slopes">Whether slopes will be asked for.</param>
    internal static TokenDistributions Under(Tensor hidden, (Tensor Matrix, Tensor? Bias) head, Tensor targets, bool slopes) => new WithoutLogits(hidden, head, targets, slopes);

    /// <summary>One figure of each row.</summary>
    internal abstract Tensor this[TargetFigure figure] { get; }

    /// <summary>(C, d) d log p(y) / d h = W[y] - p W; asked for last.</summary>
    /// <param name="head">(V, d)</param>
    internal abstract Tensor Slopes(Tensor head);

    /// <summary>(C, d) the gradient of the mean over the vocabulary of the log-probs, mean W - p W.</summary>
    /// <param name="head">(V, d)</param>
    internal abstract Tensor MeanSlopes(Tensor head);

    /// <summary>(C, V) the gradient by the logits of by_target log p(y) + by_mean mean(log p), in the logits' dtype; asked for last.</summary>
    /// <param name="byTarget">(C, 1)</param>
    /// <param name="byMean">(C, 1) or null.</param>
    internal abstract Tensor ByLogits(Tensor byTarget, Tensor? byMean);

    private sealed class WithoutLogits(Tensor hidden, (Tensor Matrix, Tensor? Bias) of, Tensor targets, bool slopes) : TokenDistributions
    {
        private readonly (Tensor Figures, Tensor? Expected) all = Fused.HeadFigures(hidden, of.Matrix, targets, slopes, of.Bias);

        internal override Tensor this[TargetFigure figure] => all.Figures.select(0, (long)figure);

        private Tensor Expected => all.Expected ?? throw new InvalidOperationException("slopes were not asked for");

        internal override Tensor Slopes(Tensor head) => head.index_select(0, targets).sub_(Expected);

        internal override Tensor MeanSlopes(Tensor head) => head.mean([0], type: torch.float32) - Expected;

        internal override Tensor ByLogits(Tensor byTarget, Tensor? byMean) => throw new InvalidOperationException("there are no logits");
    }

    private sealed class InOnePass(Tensor logits, Tensor targets, bool gradients) : TokenDistributions
    {
        private readonly Tensor figures = Fused.TargetLogProbs(logits, targets, gradients);

        internal override Tensor this[TargetFigure figure] => figures.select(0, (long)figure);

        private Tensor Inverse => this[TargetFigure.InverseSum].unsqueeze(1);

        // One product of a difference: that of W[y] and a rounded p W is all rounding where p is near 1. Logits are e^(logit - largest) by now.
        internal override Tensor Slopes(Tensor head) => Products.Of(ByLogits(torch.ones([targets.size(0), 1]), null), head);

        internal override Tensor MeanSlopes(Tensor head) => Products.Of((logits * Inverse.neg()).add_(1.0 / head.size(0)).to(logits.dtype), head);

        internal override Tensor ByLogits(Tensor byTarget, Tensor? byMean)
        {
            var factor = (byMean is null ? byTarget : byTarget + byMean).neg().mul_(Inverse);
            var slopes = logits.dtype == torch.float32 ? logits.mul_(factor) : logits.to(torch.float32).mul_(factor);
            if (byMean is not null) slopes.add_(byMean / logits.size(1));
            return slopes.scatter_add_(1, targets.unsqueeze(1), byTarget).to(logits.dtype);
        }
    }

    private sealed class Composed(Tensor logits, Tensor targets, double cap) : TokenDistributions
    {
        private readonly Tensor logProbs = HeadLogProbs.LogSoftmax(logits);

        internal override Tensor this[TargetFigure figure] => figure switch
        {
            TargetFigure.LogProb => logProbs.gather(1, targets.unsqueeze(1)).squeeze(1),
            TargetFigure.MeanLogProb => logProbs.mean([1]),
            TargetFigure.Entropy => (logProbs.exp() * logProbs).sum(1).neg_(),
            TargetFigure.ArgmaxHit => logits.argmax(1).eq(targets).to(logProbs.dtype),
            TargetFigure.LogSumSquare => (logProbs * 2).logsumexp(1),
            TargetFigure.MeanLogit => logits.mean([1], type: logProbs.dtype),
            _ => throw new ArgumentOutOfRangeException(nameof(figure), figure, null),
        };

        // As above: 1 - p in the log-probs' type, before the head's rounds it.
        internal override Tensor Slopes(Tensor head)
        {
            var one = torch.ones([targets.size(0), 1], logProbs.dtype, logProbs.device);
            return Uncapped(logProbs.exp_().neg_().scatter_add_(1, targets.unsqueeze(1), one)).to(head.dtype).mm(head);
        }

        internal override Tensor MeanSlopes(Tensor head) => Uncapped((1.0 / head.size(0)) - logProbs.exp()).to(head.dtype).mm(head);

        internal override Tensor ByLogits(Tensor byTarget, Tensor? byMean)
        {
            var slopes = logProbs.exp_().mul_((byMean is null ? byTarget : byTarget + byMean).neg());
            if (byMean is not null) slopes.add_(byMean / logits.size(1));
            return Uncapped(slopes.scatter_add_(1, targets.unsqueeze(1), byTarget)).to(logits.dtype);
        }

        // The derivative of c tanh(z / c) is 1 - tanh(z / c)^2.
        private Tensor Uncapped(Tensor slopes) => cap == 0 ? slopes : slopes.sub_(slopes * (logits / cap).square());
    }
}
