// Several sequences in one training row, by TRL's three strategies. bfd: best fit decreasing; sequences sorted by length, each
// into the row with the least room that holds it, what is over max_length cut off. bfd_split: the same after long sequences
// were cut into pieces. wrapped: everything joined and cut every max_length ids, so that documents see each other. Each block of
// 1,000 rows is packed by itself, as TRL's are: a batch of datasets' map is all that its packing sees.

namespace PeftAlign.Models.Rows;

/// <summary>Packs sequences.</summary>
public static class Packing
{
    // batch_size of datasets' map where nothing else is said.
    private const int BlockRows = 1000;

    /// <summary>Every strategy.</summary>
    public static IReadOnlyList<string> Strategies { get; } = ["bfd", "bfd_split", "wrapped"];

    /// <summary>The packed rows, each a list of sequences that do not see each other.</summary>
    /// <param name="sequences">In file order; empty ones are left out.</param>
    /// <param name="strategy">One of <see cref="Strategies"/>.</param>
    /// <param name="maxLength">Most ids of a packed row.</param>
    public static IReadOnlyList<IReadOnlyList<SequenceTokens>> Pack(IReadOnlyList<SequenceTokens> sequences, string strategy, int maxLength)
    {
        Func<IReadOnlyList<SequenceTokens>, IReadOnlyList<IReadOnlyList<SequenceTokens>>> pack = strategy switch
        {
            "bfd" => block => BestFit([.. block.Select(s => s.Ids.Length > maxLength ? s.Piece(0, maxLength) : s)], maxLength),
            "bfd_split" => block => BestFit([.. block.SelectMany(s => Pieces(s, maxLength))], maxLength),
            "wrapped" => block => Wrapped(block, maxLength),
            _ => throw new ArgumentException($"packing strategy '{strategy}' is not known; use one of {string.Join(", ", Strategies)}", nameof(strategy)),
        };
        return [.. sequences.Chunk(BlockRows).SelectMany(block => pack([.. block.Where(s => s.Ids.Length > 0)]))];
    }

    private static IEnumerable<SequenceTokens> Pieces(SequenceTokens sequence, int length)
    {
        for (var start = 0; start < sequence.Ids.Length; start += length)
            yield return sequence.Piece(start, Math.Min(start + length, sequence.Ids.Length));
    }

    private static IReadOnlyList<IReadOnlyList<SequenceTokens>> BestFit(IReadOnlyList<SequenceTokens> pieces, int maxLength)
    {
        var rows = new List<List<SequenceTokens>>();
        var byRoom = new Dictionary<int, Queue<List<SequenceTokens>>>(); // rows that have room, oldest first
        var rooms = new SortedSet<int>();
        foreach (var piece in pieces.OrderByDescending(p => p.Ids.Length)) // stable: equal lengths in file order
        {
            var room = rooms.GetViewBetween(piece.Ids.Length, maxLength).Min; // 0 where no row has room enough
            List<SequenceTokens> row;
            if (room > 0)
            {
                row = byRoom[room].Dequeue();
                if (byRoom[room].Count == 0) rooms.Remove(room);
            }
            else
            {
                room = maxLength;
                rows.Add(row = []);
            }
            row.Add(piece);
            var left = room - piece.Ids.Length;
            if (left == 0) continue;
            if (!byRoom.TryGetValue(left, out var open)) byRoom[left] = open = new Queue<List<SequenceTokens>>();
            open.Enqueue(row);
            rooms.Add(left);
        }
        return rows;
    }

    private static IReadOnlyList<IReadOnlyList<SequenceTokens>> Wrapped(IReadOnlyList<SequenceTokens> sequences, int maxLength)
    {
        var joined = new SequenceTokens([.. sequences.SelectMany(s => s.Ids)], [.. sequences.SelectMany(s => s.Trained)]);
        return [.. Pieces(joined, maxLength).Select(piece => (IReadOnlyList<SequenceTokens>)[piece])];
    }
}
