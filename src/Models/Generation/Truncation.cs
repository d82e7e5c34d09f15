// Sampling from part of a distribution: each function removes tokens (sets -infinity) from a row of scores and keeps at
// least one. Definitions as in transformers' warpers; sums run in double precision.
// Sources: Fan 2018 (top k), Holtzman 2020 (top p), Nguyen 2024 (min p), Meister 2023 (typical), Hewitt 2022 (epsilon, eta).

using System.Numerics;

namespace PeftAlign.Models.Generation;

internal static class Truncation
{
    private const float Removed = float.NegativeInfinity;

    internal static void Temperature(Span<float> scores, double temperature)
    {
        var divisor = (float)temperature;
        var at = 0;
        for (; at + Vector<float>.Count <= scores.Length; at += Vector<float>.Count) (new Vector<float>(scores[at..]) / divisor).CopyTo(scores[at..]);
        for (; at < scores.Length; at++) scores[at] /= divisor;
    }

    /// <summary>Keeps the k best; tokens as good as the k-th stay too.</summary>
    internal static void TopK(Span<float> scores, int k)
    {
        if (k >= scores.Length) return;
        var (best, at) = (new PriorityQueue<float, float>(k + 1), 0);
        for (; at < k; at++) best.Enqueue(scores[at], scores[at]);
        while (at < scores.Length)
        {
            // Once the best are found, most vectors hold none of them.
            if (at + Vector<float>.Count <= scores.Length && !Vector.GreaterThanAny(new Vector<float>(scores[at..]), new Vector<float>(best.Peek())))
            {
                at += Vector<float>.Count;
                continue;
            }
            for (var end = Math.Min(scores.Length, at + Vector<float>.Count); at < end; at++)
                if (scores[at] > best.Peek()) best.EnqueueDequeue(scores[at], scores[at]);
        }
        RemoveBelow(scores, best.Peek());
    }

    /// <summary>A token goes where the sum of the probabilities from the smallest up to its own is at most 1 - p.</summary>
    internal static void TopP(Span<float> scores, double p)
    {
        if (Masses.OfBest(scores, TokenChoice.Largest(scores), p) is not { Index: var index })
        {
            TopPExactly(scores, p);
            return;
        }
        // Of other scores none is as far as the last one.
        var last = scores[index];
        RemoveBelow(scores[..index], last);
        RemoveBelow(scores[(index + 1)..], MathF.BitIncrement(last));
    }

    internal static void TopPExactly(Span<float> scores, double p)
    {
        var probabilities = Probabilities(scores);
        var limit = 1 - p;
        // Tokens below limit / V are together below the limit: no need to sort them.
        var small = limit / scores.Length;
        var order = new List<int>();
        double sum = 0;
        for (var i = 0; i < scores.Length; i++)
        {
            if (probabilities[i] >= small && probabilities[i] > 0)
            {
                order.Add(i);
                continue;
            }
            sum += probabilities[i];
            scores[i] = Removed;
        }
        order.Sort((a, b) => probabilities[a] != probabilities[b] ? probabilities[a].CompareTo(probabilities[b]) : b.CompareTo(a));
        foreach (var i in order.SkipLast(1))
        {
            if ((sum += probabilities[i]) > limit) return;
            scores[i] = Removed;
        }
    }

    internal static void MinP(Span<float> scores, double share)
    {
        var (best, most) = (TokenChoice.Largest(scores), -Math.Log(share));
        if (!Masses.IsClear(scores, best, most))
        {
            MinPExactly(scores, share);
            return;
        }
        for (var i = 0; i < scores.Length; i++)
            if (Masses.Distance(scores[i], best, 0) > most) scores[i] = Removed;
    }

    internal static void MinPExactly(Span<float> scores, double share)
    {
        var probabilities = Probabilities(scores);
        var least = share * probabilities.Max();
        for (var i = 0; i < scores.Length; i++)
            if (probabilities[i] < least) scores[i] = Removed;
    }

    /// <summary>Tokens by the distance of their surprise from the entropy, nearest first, until their probability reaches the mass.</summary>
    internal static void Typical(Span<float> scores, double mass)
    {
        var best = TokenChoice.Largest(scores);
        if (Masses.OfTypical(scores, best, mass) is not var (reach, centre))
        {
            TypicalExactly(scores, mass);
            return;
        }
        for (var i = 0; i < scores.Length; i++)
            if (Masses.Distance(scores[i], best, centre) > reach.Distance) scores[i] = Removed;
    }

    internal static void TypicalExactly(Span<float> scores, double mass)
    {
        var probabilities = Probabilities(scores);
        var entropy = Entropy(probabilities);
        var distances = Array.ConvertAll(probabilities, p => p > 0 ? Math.Abs(-Math.Log(p) - entropy) : double.PositiveInfinity);
        var order = Enumerable.Range(0, scores.Length).Where(i => probabilities[i] > 0).OrderBy(i => distances[i]);
        var (sum, last) = (0.0, 0.0);
        foreach (var i in order)
        {
            last = distances[i];
            if ((sum += probabilities[i]) >= mass) break;
        }
        for (var i = 0; i < scores.Length; i++)
            if (distances[i] > last) scores[i] = Removed;
    }

    internal static void Epsilon(Span<float> scores, double least) => RemoveUnlikely(scores, Probabilities(scores), least);

    internal static void Eta(Span<float> scores, double epsilon)
    {
        var probabilities = Probabilities(scores);
        RemoveUnlikely(scores, probabilities, Math.Min(epsilon, Math.Sqrt(epsilon) * Math.Exp(-Entropy(probabilities))));
    }

    /// <summary>softmax in double precision; 0 for removed tokens.</summary>
    internal static double[] Probabilities(ReadOnlySpan<float> scores)
    {
        var best = Removed;
        foreach (var score in scores) best = Math.Max(best, score);
        var probabilities = new double[scores.Length];
        double sum = 0;
        for (var i = 0; i < scores.Length; i++)
            if (scores[i] != Removed) sum += probabilities[i] = Math.Exp((double)scores[i] - best);
        for (var i = 0; i < scores.Length; i++) probabilities[i] /= sum;
        return probabilities;
    }

    private static double Entropy(double[] probabilities) => -probabilities.Sum(p => p > 0 ? p * Math.Log(p) : 0);

    private static void RemoveUnlikely(Span<float> scores, double[] probabilities, double least)
    {
        var best = probabilities.Max();
        for (var i = 0; i < scores.Length; i++)
            if (probabilities[i] < least && probabilities[i] < best) scores[i] = Removed;
    }

    private static void RemoveBelow(Span<float> scores, float least)
    {
        var (at, removed) = (0, new Vector<float>(Removed));
        for (; at + Vector<float>.Count <= scores.Length; at += Vector<float>.Count)
        {
            var some = new Vector<float>(scores[at..]);
            Vector.ConditionalSelect(Vector.LessThan(some, new Vector<float>(least)), removed, some).CopyTo(scores[at..]);
        }
        for (; at < scores.Length; at++)
            if (scores[at] < least) scores[at] = Removed;
    }
}
