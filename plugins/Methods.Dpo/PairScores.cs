// A batch of pairs as the losses see it: summed log-probs of each answer, log-ratios to the reference, scores under the divergence.

using PeftAlign.Abstractions;
using PeftAlign.Algebra;
using PeftAlign.Torch;

namespace PeftAlign.Methods.Dpo;

/// <summary>One side of the pairs, each (P) float64.</summary>
/// <param name="LogProbs">Sums of log-probs under the policy, with gradient; tails are discounted where ld_alpha says so.</param>
/// <param name="Reference">The same sums under the reference, without gradient.</param>
/// <param name="Scores">The divergence's function of the log-ratio, <see cref="Divergences.Score"/>.</param>
/// <param name="Tokens">Length of each answer in tokens, at least 1.</param>
internal sealed record Side(Tensor LogProbs, Tensor Reference, Tensor Scores, Tensor Tokens)
{
    /// <summary>(P) log-ratios of policy to reference.</summary>
    internal Tensor Ratios { get; } = LogProbs - Reference;
}

/// <summary>Both sides of a batch's P pairs.</summary>
/// <param name="Chosen">The better answers.</param>
/// <param name="Rejected">The worse ones.</param>
/// <param name="ChosenNll">Scalar: mean of -log p over all chosen tokens of the batch.</param>
internal sealed record PairScores(Side Chosen, Side Rejected, Tensor ChosenNll)
{
    /// <summary>(P) scores of the chosen answers less those of the rejected ones.</summary>
    internal Tensor Margins => Chosen.Scores - Rejected.Scores;

    internal static PairScores Of(ScoredBatch batch, DpoOptions options)
    {
        var sequences = Sequences.Of(batch.Lengths, batch.Weights);
        var shorter = Sequences.First(sequences.Tokens).minimum(Sequences.Second(sequences.Tokens));
        var full = torch.stack([shorter, shorter], 1).view(-1); // (2 P)
        Tensor Sum(Tensor values) => options.LdAlpha is { } rest ? sequences.SumWithDiscountedTail(values, full, rest) : sequences.Sum(values);
        var (policy, reference) = (Sum(batch.LogProbs), Sum(batch.ReferenceLogProbs!));
        var scores = Divergences.Score(options.FDivergenceType ?? "reverse_kl", policy - reference, options.FAlphaDivergenceCoef ?? 0.5);
        var lengths = torch.tensor<double>([.. batch.Groups.SelectMany(g => g.Completions).Select(c => Math.Max(1.0, c.RecordedLength))], device: policy.device);
        Side Of(Func<Tensor, Tensor> half) => new(half(policy), half(reference), half(scores), half(lengths));
        var nll = Sequences.First(sequences.Sum(batch.LogProbs)).sum() / Sequences.First(sequences.Tokens).sum() * -1.0;
        return new PairScores(Of(Sequences.First), Of(Sequences.Second), nll);
    }

    /// <summary>(P) WPO's weights: exp of the mean over tokens of log p - log sum of squared probabilities, of both answers, without gradient.</summary>
    internal static Tensor Weights(ScoredBatch batch)
    {
        var means = Sequences.Of(batch.Lengths, batch.Weights).Mean(batch.LogProbs.detach() - batch.Statistics["log_sum_square"]);
        return (Sequences.First(means) + Sequences.Second(means)).exp();
    }
}
