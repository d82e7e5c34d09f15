// Sources in given proportions, one row after the other: each row comes from the source that is furthest behind its share. So every
// prefix of the sequence, and every batch cut from it, holds the sources as nearly in proportion as whole rows allow.

namespace PeftAlign.Training;

/// <summary>The order of a mixture's sources.</summary>
public static class Interleaving
{
    /// <summary>The number of the source of each row, without end; of sources that are equally far behind, the first.</summary>
    /// <param name="proportions">Positive; they need not sum to one.</param>
    public static IEnumerable<int> Of(IReadOnlyList<double> proportions)
    {
        var total = proportions.Sum();
        var shares = proportions.Select(p => p / total).ToArray();
        var counts = new long[shares.Length];
        for (var row = 1L; ; row++)
        {
            var next = 0;
            for (var k = 1; k < shares.Length; k++)
                if (shares[k] * row - counts[k] > shares[next] * row - counts[next]) next = k;
            counts[next]++;
            yield return next;
        }
    }
}
