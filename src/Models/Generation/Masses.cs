// Which tokens make up a share of the probability, and which one a number draws, without exact probabilities and without sorting
// them all: exponentials come by vectors, tokens lie in buckets by distance, and only the bucket in which the share ends is sorted.
// Sums here differ from exact ones in their last digits, so where a sum or a distance comes that near to what decides, there is no
// answer, and the exact way has to be gone: results are its results.

using System.Buffers;
using System.Numerics;

namespace PeftAlign.Models.Generation;

/// <summary>The last token that is taken: all that are nearer are taken too, and of those as near the ones up to its index.</summary>
/// <param name="Distance">How far it is.</param>
/// <param name="Index">Where it stands.</param>
internal readonly record struct Reach(double Distance, int Index);

internal static class Masses
{
    private const int Buckets = 4096, Block = 1024;

    // Distances of this difference may be equal, or in another order, once they are computed exactly.
    private const double Near = 1e-9;

    /// <summary>Distance of a score from the best one, or from where `centre` lies below it.</summary>
    internal static double Distance(float score, double best, double centre) => Math.Abs(best - score - centre);

    /// <summary>How far the best tokens reach of which each stands behind less than a share of the probability; null where that is too near to call.</summary>
    internal static Reach? OfBest(ReadOnlySpan<float> scores, float best, double share) => With(scores, best, (scores, weights, sum) =>
        // Tokens behind this distance have together less than the rest.
        Share(scores, weights, best, 0, share * sum, sum, Math.Log(scores.Length / (1 - share))));

    /// <summary>The same of the tokens whose surprise is nearest to the expected one.</summary>
    /// <returns>How far they reach around the centre, which is counted from the best score.</returns>
    internal static (Reach Reach, double Centre)? OfTypical(ReadOnlySpan<float> scores, float best, double share) => With<(Reach, double)?>(scores, best, (scores, weights, sum) =>
    {
        double expected = 0; // of the distances from the best: surprise and entropy both have log(sum) more
        for (var i = 0; i < scores.Length; i++)
            if (weights[i] > 0) expected += weights[i] * ((double)best - scores[i]);
        var centre = expected / sum;
        return Share(scores, weights, best, centre, share * sum, sum, 16) is { } reach ? (reach, centre) : null;
    });

    /// <summary>The token that a number from 0 to below 1 draws.</summary>
    internal static int? Drawn(ReadOnlySpan<float> scores, float best, double uniform) => With<int?>(scores, best, (scores, weights, sum) =>
    {
        var (before, target, margin, at) = (0.0, uniform * sum, Margin(sum, scores.Length), 0);
        while (at + Block <= weights.Length)
        {
            var next = before + Sum(weights.Slice(at, Block));
            if (next >= target - margin) break;
            (before, at) = (next, at + Block);
        }
        for (; at < weights.Length; at++)
        {
            if (weights[at] == 0) continue;
            var next = before + weights[at];
            if (Math.Abs(next - target) <= margin || Math.Abs(before - target) <= margin) return null;
            if (next > target) return at;
            before = next;
        }
        return null;
    });

    /// <summary>Whether it is clear of each token if it is further from the best than this.</summary>
    internal static bool IsClear(ReadOnlySpan<float> scores, float best, double distance)
    {
        foreach (var score in scores)
            if (!(Math.Abs(Distance(score, best, 0) - distance) >= Near)) return false; // NaN too
        return true;
    }

    private delegate T Use<T>(ReadOnlySpan<float> scores, ReadOnlySpan<double> weights, double sum);

    // Nothing is said of scores that are no numbers.
    private static T? With<T>(ReadOnlySpan<float> scores, float best, Use<T> use)
    {
        var rented = ArrayPool<double>.Shared.Rent(scores.Length);
        try
        {
            var weights = rented.AsSpan(0, scores.Length);
            var sum = Exponentials(scores, best, weights);
            return double.IsFinite(sum) ? use(scores, weights, sum) : default;
        }
        finally
        {
            ArrayPool<double>.Shared.Return(rented);
        }
    }

    // exp(score - best) of each, and their sum.
    private static double Exponentials(ReadOnlySpan<float> scores, double best, Span<double> made)
    {
        var (at, sums, highest) = (0, Vector<double>.Zero, new Vector<double>(best));
        for (; at + Vector<float>.Count <= scores.Length; at += Vector<float>.Count)
        {
            Vector.Widen(new Vector<float>(scores[at..]), out var low, out var high);
            (low, high) = (Vector.Exp(low - highest), Vector.Exp(high - highest));
            low.CopyTo(made[at..]);
            high.CopyTo(made[(at + Vector<double>.Count)..]);
            sums += low + high;
        }
        var sum = Vector.Sum(sums);
        for (; at < scores.Length; at++) sum += made[at] = Math.Exp(scores[at] - best);
        return sum;
    }

    private static double Sum(ReadOnlySpan<double> numbers)
    {
        var (at, sums) = (0, Vector<double>.Zero);
        for (; at + Vector<double>.Count <= numbers.Length; at += Vector<double>.Count) sums += new Vector<double>(numbers[at..]);
        var sum = Vector.Sum(sums);
        for (; at < numbers.Length; at++) sum += numbers[at];
        return sum;
    }

    // More than the rounding of two sums of so many terms, in whatever order, and of the terms themselves.
    private static double Margin(double sum, int count) => Math.ScaleB(sum * count, -50);

    private static Reach? Share(ReadOnlySpan<float> scores, ReadOnlySpan<double> weights, double best, double centre, double target, double sum, double span)
    {
        var (margin, scale) = (Margin(sum, scores.Length), Buckets / span);
        int BucketOf(float score) => (int)Math.Min(Distance(score, best, centre) * scale, Buckets);
        var sums = new double[Buckets + 1];
        for (var i = 0; i < scores.Length; i++)
            if (weights[i] > 0) sums[BucketOf(scores[i])] += weights[i];
        var (bucket, before) = (0, 0.0);
        while (bucket < Buckets && before + sums[bucket] < target - margin) before += sums[bucket++];
        var within = Within(scores, weights, best, centre, (bucket / scale, bucket < Buckets ? (bucket + 1) / scale : double.PositiveInfinity), score => BucketOf(score) == bucket);
        within.Sort((a, b) => a.Distance != b.Distance ? a.Distance.CompareTo(b.Distance) : a.Index.CompareTo(b.Index));
        Reach? last = null;
        foreach (var one in within)
        {
            if (Math.Abs(before - target) <= margin) return null;
            if (before > target) break;
            (last, before) = (one, before + weights[one.Index]);
        }
        return last is { } found && before - target > margin && !IsNearAnother(scores, within, found, (bucket / scale, (bucket + 1) / scale)) ? found : null;
    }

    // The tokens of a bucket; most vectors hold none, which is seen in float32 already.
    private static List<Reach> Within(ReadOnlySpan<float> scores, ReadOnlySpan<double> weights, double best, double centre, (double Lower, double Upper) edges, Func<float, bool> isIn)
    {
        var (within, at, start, slack) = (new List<Reach>(), 0, new Vector<float>((float)(best - centre)), (float)(1e-4 + (1e-5 * (Math.Abs(best) + Math.Abs(centre)))));
        var (lower, upper) = (new Vector<float>((float)edges.Lower - slack), new Vector<float>((float)edges.Upper + slack));
        while (at < scores.Length)
        {
            var end = Math.Min(scores.Length, at + Vector<float>.Count);
            if (end - at == Vector<float>.Count)
            {
                var far = Vector.Abs(start - new Vector<float>(scores[at..]));
                if (!Vector.EqualsAny(Vector.GreaterThanOrEqual(far, lower) & Vector.LessThanOrEqual(far, upper), new Vector<int>(-1)))
                {
                    at = end;
                    continue;
                }
            }
            for (; at < end; at++)
                if (weights[at] > 0 && isIn(scores[at])) within.Add(new Reach(Distance(scores[at], best, centre), at));
        }
        return within;
    }

    // What lies beyond the bucket's edges is not looked at.
    private static bool IsNearAnother(ReadOnlySpan<float> scores, List<Reach> within, Reach last, (double Lower, double Upper) edges)
    {
        if ((edges.Lower > 0 && last.Distance - edges.Lower < Near) || Math.Abs(edges.Upper - last.Distance) < Near) return true;
        foreach (var one in within)
            if (Math.Abs(one.Distance - last.Distance) < Near && scores[one.Index] != scores[last.Index]) return true;
        return false;
    }
}
