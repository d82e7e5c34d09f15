// The order of a mixture by proportions. An epoch has as many rows as the sources have together; which source each is of is the
// same in every epoch. A source is shuffled by itself and begins anew, shuffled again, whenever it has been through; so a small
// source with a large share is seen more often, and a source whose share is its size once an epoch.

using PeftAlign.Torch.Extras;

namespace PeftAlign.Training;

/// <param name="rows">Rows of each source; they stand one source after the other.</param>
/// <param name="proportions">The sources' shares.</param>
/// <param name="options">Seeds and shuffling.</param>
internal sealed class MixedOrder(IReadOnlyList<int> rows, IReadOnlyList<double> proportions, TrainingOptions options)
{
    private readonly int[] sources = [.. Interleaving.Of(proportions).Take(rows.Sum())];
    private readonly Dictionary<(int Source, long Pass), long[]> passes = [];

    /// <summary>The row numbers of an epoch.</summary>
    internal long[] Order(long epoch)
    {
        passes.Clear();
        var drawn = new long[rows.Count];
        foreach (var source in sources) drawn[source]++;
        var at = drawn.Select(count => count * epoch).ToArray();
        var first = rows.Select((_, k) => rows.Take(k).Sum(n => (long)n)).ToArray();
        return [.. sources.Select(source => first[source] + Row(source, at[source]++))];
    }

    // The row that a source gives as its n-th.
    private long Row(int source, long n)
    {
        var (pass, place) = Math.DivRem(n, rows[source]);
        if (!options.Shuffle) return place;
        if (!passes.TryGetValue((source, pass), out var order))
            passes.Add((source, pass), order = new CounterStream((ulong)(options.DataSeed ?? options.Seed), "shuffle", $"source {source}", pass).Permutation(rows[source]));
        return order[place];
    }
}
