// How benchmarks and judges get log-probs of given completions from a model.

namespace PeftAlign.Abstractions;

/// <summary>Scores given completions under a model with its adapter, without gradients.</summary>
public interface IScorer
{
    /// <summary>
    /// Log-probs of every completion. A group's prompt is computed once for all its completions. Results do not depend on
    /// how groups are ordered or batched.
    /// </summary>
    /// <param name="groups">Prompts with their completions.</param>
    /// <param name="top">How many of the most likely tokens to report at each position; 0 for none.</param>
    /// <returns>One score for each completion, in order of groups and completions.</returns>
    /// <exception cref="UserErrorException">A token id is not in the model's vocabulary, or a control is unknown.</exception>
    IReadOnlyList<CompletionScore> Score(IReadOnlyList<CompletionGroup> groups, int top = 0);
}

/// <summary>The log-probs of one completion, one entry per token. Tokens of weight 0 have log-prob 0 and count as greedy.</summary>
/// <param name="LogProbs">Natural logarithm of each token's probability given all tokens before it.</param>
/// <param name="Greedy">Whether each token is the most likely one.</param>
public sealed record CompletionScore(IReadOnlyList<double> LogProbs, IReadOnlyList<bool> Greedy)
{
    /// <summary>Sum of the tokens' log-probs.</summary>
    public double LogProb { get; } = LogProbs.Sum();

    /// <summary>Whether every token is the most likely one; true where there are no tokens.</summary>
    public bool IsGreedy { get; } = !Greedy.Contains(false);

    /// <summary>The most likely tokens at each position, best first; empty where none were asked for.</summary>
    public IReadOnlyList<IReadOnlyList<TokenLogProb>> Top { get; init; } = [];
}

/// <summary>A token and its log-prob.</summary>
/// <param name="Id">The token id.</param>
/// <param name="LogProb">Natural logarithm of its probability.</param>
public readonly record struct TokenLogProb(int Id, double LogProb);
