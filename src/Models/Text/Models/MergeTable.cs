// The merges of byte pair encoding: which two symbols join, how early, and into which.
namespace PeftAlign.Models.Text.Models;

/// <summary>Open-addressing table from a pair of symbols to its rank and the joined symbol. Smaller ranks merge first.</summary>
internal sealed class MergeTable
{
    private struct Slot
    {
        public ulong Pair;
        public int Rank, Joined;
    }

    private const ulong Free = ulong.MaxValue;

    private readonly Slot[] _slots;
    private readonly int _shift;

    /// <param name="capacity">At least the number of pairs that will be added.</param>
    public MergeTable(int capacity)
    {
        var bits = 4;
        while (1L << bits < capacity * 2L) bits++;
        _shift = 64 - bits;
        _slots = new Slot[1 << bits];
        Array.Fill(_slots, new Slot { Pair = Free });
    }

    /// <summary>Number of pairs.</summary>
    public int Count { get; private set; }

    /// <summary>Adds a pair; a pair that is there already gets the new values.</summary>
    public void Add(int left, int right, int rank, int joined)
    {
        ref var slot = ref Find(left, right);
        if (slot.Pair == Free) Count++;
        slot = new Slot { Pair = Key(left, right), Rank = rank, Joined = joined };
    }

    /// <summary>The rank of a pair and its joined symbol, or int.MaxValue where the pair does not merge.</summary>
    public int Rank(int left, int right, out int joined)
    {
        ref var slot = ref Find(left, right);
        joined = slot.Joined;
        return slot.Pair == Free ? int.MaxValue : slot.Rank;
    }

    private ref Slot Find(int left, int right)
    {
        var key = Key(left, right);
        var mask = _slots.Length - 1;
        for (var i = (int)(key * 0x9E3779B97F4A7C15UL >> _shift); ; i++)
        {
            ref var slot = ref _slots[i & mask];
            if (slot.Pair == key || slot.Pair == Free) return ref slot;
        }
    }

    private static ulong Key(int left, int right) => (ulong)(uint)left << 32 | (uint)right;
}
