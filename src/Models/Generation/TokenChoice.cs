// From a row of scores to a token: the best, or one drawn with a random number that depends on (seed, row, sample, step) alone.

using System.Globalization;
using System.Numerics;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Models.Generation;

internal static class TokenChoice
{
    /// <summary>The best token, the first of equals.</summary>
    /// <exception cref="InvalidDataException">No score is a number above -infinity.</exception>
    internal static int Best(ReadOnlySpan<float> scores)
    {
        var best = Largest(scores);
        var at = float.IsNegativeInfinity(best) ? -1 : scores.IndexOf(best);
        return at >= 0 && !float.IsPositiveInfinity(best) ? at : throw new InvalidDataException("the model gives no finite score for any next token; its weights are damaged, or every token is banned");
    }

    // Numbers above -infinity only: comparisons with NaN are false.
    internal static float Largest(ReadOnlySpan<float> scores)
    {
        var (best, i) = (float.NegativeInfinity, 0);
        if (scores.Length >= 4 * Vector<float>.Count)
        {
            var all = new Vector<float>(best);
            for (; i + Vector<float>.Count <= scores.Length; i += Vector<float>.Count)
            {
                var next = new Vector<float>(scores[i..]);
                all = Vector.ConditionalSelect(Vector.GreaterThan(next, all), next, all);
            }
            for (var lane = 0; lane < Vector<float>.Count; lane++) best = Math.Max(best, all[lane]);
        }
        for (; i < scores.Length; i++)
            if (scores[i] > best) best = scores[i];
        return best;
    }

    /// <summary>A token drawn by its probability.</summary>
    /// <param name="scores">(V) logits; -infinity is never drawn.</param>
    /// <param name="uniform">From 0 to below 1.</param>
    internal static int Drawn(ReadOnlySpan<float> scores, double uniform)
    {
        var best = Best(scores);
        return Masses.Drawn(scores, scores[best], uniform) ?? DrawnExactly(scores, uniform, best);
    }

    internal static int DrawnExactly(ReadOnlySpan<float> scores, double uniform, int last)
    {
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
