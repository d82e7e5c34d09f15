// Changes of next-token scores that depend on the tokens before: biases, penalties and bans. Scores are a row of the
// vocabulary, changed in place; a banned token has -infinity. Definitions as in transformers' logits processors.

using PeftAlign.Abstractions;

namespace PeftAlign.Models.Generation;

internal static class Penalties
{
    internal static void Bias(Span<float> scores, ReadOnlySpan<int> past, IReadOnlyList<SequenceBias> biases)
    {
        foreach (var (ids, bias) in biases)
            if (past.EndsWith(ids.AsSpan(..^1))) scores[ids[^1]] += (float)bias;
    }

    /// <summary>Keskar et al. 2019 (CTRL): each token that appeared counts once.</summary>
    internal static void Repetition(Span<float> scores, ReadOnlySpan<int> past, double penalty)
    {
        var seen = new HashSet<int>();
        foreach (var id in past)
            if (seen.Add(id)) scores[id] = scores[id] < 0 ? scores[id] * (float)penalty : scores[id] / (float)penalty;
    }

    /// <summary>Bans what would repeat a run of n tokens.</summary>
    internal static void RepeatedNgrams(Span<float> scores, ReadOnlySpan<int> past, int n)
    {
        if (past.Length + 1 < n) return;
        var last = past[(past.Length - n + 1)..];
        for (var at = 0; at + n <= past.Length; at++)
            if (past.Slice(at, n - 1).SequenceEqual(last)) scores[past[at + n - 1]] = float.NegativeInfinity;
    }

    internal static void Suppress(Span<float> scores, IReadOnlyList<int> ids)
    {
        foreach (var id in ids) scores[id] = float.NegativeInfinity;
    }
}
