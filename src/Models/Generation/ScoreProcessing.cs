// All changes of next-token scores that some options ask for, in transformers' order.

using PeftAlign.Abstractions;

namespace PeftAlign.Models.Generation;

/// <summary>The processing of a row of scores.</summary>
internal sealed class ScoreProcessing
{
    private readonly GenerationOptions options;
    private readonly SequenceBias[] badWords;

    internal ScoreProcessing(GenerationOptions options)
    {
        this.options = options;
        // An end token among the bad words would make a continuation endless; transformers leaves it out too.
        badWords = [.. options.BadWordsIds.Where(w => w.Length != 1 || !options.EosTokenIds.Contains(w[0])).Select(w => new SequenceBias(w, double.NegativeInfinity))];
        ChangesScores = Samples || options.SequenceBias.Count + badWords.Length + options.SuppressTokens.Count + options.BeginSuppressTokens.Count
            + options.NoRepeatNgramSize + options.MinNewTokens > 0 || options.RepetitionPenalty != 1 || options.RenormalizeLogits;
    }

    /// <summary>Whether a token is drawn; else the best is taken.</summary>
    internal bool Samples => options.Temperature > 0 && options.NumBeams == 1;

    /// <summary>False where the scores stay as they are.</summary>
    internal bool ChangesScores { get; }

    /// <summary>Changes a row of scores in place.</summary>
    /// <param name="scores">(V) logits, or log-probs of a beam.</param>
    /// <param name="past">Prompt and new tokens.</param>
    /// <param name="made">How many of them are new.</param>
    internal void Apply(Span<float> scores, ReadOnlySpan<int> past, int made)
    {
        Penalties.Bias(scores, past, options.SequenceBias);
        if (options.RepetitionPenalty != 1) Penalties.Repetition(scores, past, options.RepetitionPenalty);
        if (options.NoRepeatNgramSize > 0) Penalties.RepeatedNgrams(scores, past, options.NoRepeatNgramSize);
        Penalties.Bias(scores, past, badWords);
        if (made < options.MinNewTokens) Penalties.Suppress(scores, options.EosTokenIds);
        Penalties.Suppress(scores, options.SuppressTokens);
        if (made == 0) Penalties.Suppress(scores, options.BeginSuppressTokens);
        if (Samples) Truncate(scores);
        if (options.RenormalizeLogits) Normalize(scores);
    }

    /// <summary>log-softmax in place: what is left has probability 1. After other changes it decides only among beams, whose sums are compared.</summary>
    /// <param name="scores">(V) logits or log-probs; a row in which all is banned stays as it is.</param>
    internal static void Normalize(Span<float> scores)
    {
        var best = TokenChoice.Largest(scores);
        if (float.IsNegativeInfinity(best)) return;
        double sum = 0;
        foreach (var score in scores) sum += Math.Exp((double)score - best);
        var shift = best + Math.Log(sum);
        for (var i = 0; i < scores.Length; i++) scores[i] = (float)(scores[i] - shift);
    }

    private void Truncate(Span<float> scores)
    {
        if (options.Temperature != 1) Truncation.Temperature(scores, options.Temperature);
        if (options.TopK > 0) Truncation.TopK(scores, options.TopK);
        if (options.TopP < 1) Truncation.TopP(scores, options.TopP);
        if (options.MinP > 0) Truncation.MinP(scores, options.MinP);
        if (options.TypicalP < 1) Truncation.Typical(scores, options.TypicalP);
        if (options.EpsilonCutoff > 0) Truncation.Epsilon(scores, options.EpsilonCutoff);
        if (options.EtaCutoff > 0) Truncation.Eta(scores, options.EtaCutoff);
    }
}
