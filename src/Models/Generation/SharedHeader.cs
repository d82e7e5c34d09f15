// Prompts of one batch that begin alike (a template's system message, solved examples) as trees: the header is computed once, each
// prompt's own rows after it. Attention within a tree is one square, so prompts stay together only while that square is no larger than
// the prompts' own squares together: sharing never costs more.

using PeftAlign.Abstractions;
using PeftAlign.Models.Engine;

namespace PeftAlign.Models.Generation;

internal static class SharedHeader
{
    // Fewer tokens are not worth a mask of their own.
    private const int Shortest = 16;

    // Asks for the scores of the last row before it, and needs no row itself.
    private static readonly Completion Next = Completion.Of([0]);

    /// <summary>The prompts, in order, as groups whose completions are the prompts' rests.</summary>
    /// <param name="prompts">Token ids.</param>
    /// <param name="shares">False where a row depends on its sequence's whole length.</param>
    /// <returns>Each group with the rows that are computed for it.</returns>
    internal static List<(CompletionGroup Group, long Rows)> Groups(IReadOnlyList<int[]> prompts, bool shares)
    {
        var groups = new List<(CompletionGroup, long)>();
        for (var first = 0; first < prompts.Count;)
        {
            var (count, header) = shares ? Together(prompts, first) : (1, 0);
            var group = count == 1 ? new CompletionGroup(prompts[first], [Next]) : new CompletionGroup(prompts[first][..header], [.. prompts.Skip(first).Take(count).Select(p => Rest(p[header..]))]);
            groups.Add((group, Pack.RowsOf(group)));
            first += count;
        }
        return groups;
    }

    /// <summary>Of each prompt of a group the first row of its rest, within the pack, and how many there are.</summary>
    internal static IEnumerable<(int First, int Rows)> Branches(Segment segment)
    {
        var from = segment.Start + segment.Branches[0];
        foreach (var rows in segment.Branches.Skip(1))
        {
            yield return (from, rows);
            from += rows;
        }
    }

    // How many prompts from the given one on make a tree, and the length of their header.
    private static (int Count, int Header) Together(IReadOnlyList<int[]> prompts, int first)
    {
        var (count, header) = (1, prompts[first].Length - 1);
        long rests = prompts[first].Length, squares = Square(prompts[first].Length);
        for (var k = first + 1; k < prompts.Count; k++)
        {
            // The rests grow where the header shrinks; each keeps a token.
            var common = Math.Min(Math.Min(header, prompts[k].Length - 1), prompts[k].AsSpan().CommonPrefixLength(prompts[first]));
            (rests, squares) = (rests + prompts[k].Length, squares + Square(prompts[k].Length));
            if (common < Shortest || Square(rests - (count * (long)common)) > squares) break;
            (count, header) = (count + 1, common);
        }
        return (count, count == 1 ? 0 : header);
    }

    private static Completion Rest(int[] ids)
    {
        var weights = new float[ids.Length + 1];
        weights[^1] = 1;
        return new Completion([.. ids, 0], weights);
    }

    private static long Square(long rows) => rows * rows;
}
