// What methods on pairs log of them, under TRL's names: means over pairs of rewards and log-probs, means over the answers' tokens of
// logits. Nothing here carries a gradient.
namespace PeftAlign.Algebra

open System.Collections.Generic
open PeftAlign.Torch

/// <summary>Metrics of a batch of pairs.</summary>
[<AbstractClass; Sealed>]
type PairMetrics =

    /// <summary>rewards/chosen, /rejected, /accuracies (a tie is no success) and /margins; logps/chosen and /rejected; logits/chosen and
    /// /rejected.</summary>
    /// <param name="chosenRewards">(P)</param>
    /// <param name="rejectedRewards">(P)</param>
    /// <param name="chosenLogProbs">(P) of whole answers.</param>
    /// <param name="rejectedLogProbs">(P) of whole answers.</param>
    /// <param name="answers">Which tokens belong to which of the 2 P answers.</param>
    /// <param name="meanLogits">(N) the mean of the logits at each token.</param>
    static member Of
        (
            chosenRewards: Tensor,
            rejectedRewards: Tensor,
            chosenLogProbs: Tensor,
            rejectedLogProbs: Tensor,
            answers: Sequences,
            meanLogits: Tensor
        ) : Dictionary<string, float> =
        use _ = torch.no_grad ()
        use _ = torch.NewDisposeScope()
        let mean (values: Tensor) = values.mean().item<float>()
        let logits = answers.Sum meanLogits

        let tokenMean half =
            ((half logits: Tensor).sum() / (half answers.Tokens: Tensor).sum()).item<float>()

        Dictionary(
            dict
                [
                    "rewards/chosen", mean chosenRewards
                    "rewards/rejected", mean rejectedRewards
                    "rewards/accuracies", mean (chosenRewards.gt(rejectedRewards).``to`` torch.ScalarType.Float64)
                    "rewards/margins", mean (chosenRewards - rejectedRewards)
                    "logps/chosen", mean chosenLogProbs
                    "logps/rejected", mean rejectedLogProbs
                    "logits/chosen", tokenMean Sequences.First
                    "logits/rejected", tokenMean Sequences.Second
                ]
        )
