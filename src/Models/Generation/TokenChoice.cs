// From a row of scores to a token: the best, or one drawn with a random number that depends on (seed, row, sample, step) alone.

using System.Globalization;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Models.Generation;

internal static class TokenChoice
{
    /// <summary>The best token, the first of equals.</summary>
    /// <exception cref="InvalidDataException">No score is a number above -infinity.</exception>
    internal static int Best(ReadOnlySpan<float> scores)
    {
        var (best, at) = (float.NegativeInfinity, -1);
        for (var i = 0; i < scores.Length; i++)
            if (scores[i] > best) (best, at) = (scores[i], i);
        return at >= 0 && !float.IsPositiveInfinity(best) ? at : throw new InvalidDataException("the model gives no finite score for any next token; its weights are damaged, or every token is banned");
    }

    /// <summary>A token drawn by its probability.</summary>
    /// <param name="scores">(V) logits; -infinity is never drawn.</param>
    /// <param name="uniform">From 0 to below 1.</param>
    internal static int Drawn(ReadOnlySpan<float> scores, double uniform)
    {
        var last = Best(scores);
        var probabilities = Truncation.Probabilities(scores);
        double sum = 0;
        for (var i = 0; i < probabilities.Length; i++)
        {
            if (probabilities[i] == 0) continue;
            last = i;
            if ((sum += probabilities[i]) > uniform) break;
        }
        return last;
    }

    /// <summary>The random number of one token of one continuation.</summary>
    internal static double Uniform(ulong seed, long row, int sample, int step) =>
        new CounterStream(seed, "generate", string.Create(CultureInfo.InvariantCulture, $"{row}/{sample}"), step).NextDouble();
}
