// Merges the symbols of one word: always the pair of the smallest rank, the leftmost of equals (Sennrich et al. 2016). Short
// words look for it from left to right; long ones keep the candidates in a heap, so that time is n log n.
namespace PeftAlign.Models.Text.Models;

/// <summary>The symbols of a word and the buffers to merge them. Used again and again by one thread.</summary>
internal sealed class MergeBuffer
{
    private const int ShortWord = 24;

    // Parallel arrays over symbols: id, units [start, end), rank of the pair with the next symbol, neighbours in the list.
    private int[] _ids = new int[64], _starts = new int[64], _ends = new int[64], _ranks = new int[64], _joined = new int[64];
    private int[] _next = new int[64], _previous = new int[64];
    private ulong[] _heap = [];
    private int _heapCount;

    /// <summary>Number of symbols.</summary>
    public int Count { get; private set; }

    /// <summary>Starts a word.</summary>
    public void Clear()
    {
        Count = 0;
        if (_ids.Length > 1 << 20)
        {
            (_ids, _starts, _ends, _ranks, _joined) = (new int[64], new int[64], new int[64], new int[64], new int[64]);
            (_next, _previous, _heap) = (new int[64], new int[64], []);
        }
    }

    /// <summary>Appends a symbol that stands for units [start, end).</summary>
    public void Add(int id, int start, int end)
    {
        if (Count == _ids.Length) Grow();
        (_ids[Count], _starts[Count], _ends[Count]) = (id, start, end);
        Count++;
    }

    /// <summary>The units [start, end) of a symbol.</summary>
    public (int Start, int End) this[int index]
    {
        get => (_starts[index], _ends[index]);
        set => (_starts[index], _ends[index]) = value;
    }

    /// <summary>Drops the symbols behind the first <paramref name="count"/>.</summary>
    public void Cut(int count) => Count = count;

    /// <summary>Merges until no pair is left that can, and appends what remains.</summary>
    public void Merge(MergeTable merges, TokenList tokens, int shift)
    {
        if (Count <= ShortWord) MergeShort(merges);
        else MergeLong(merges);
        for (var i = 0; i < Count; i++) tokens.Add(_ids[i], _starts[i] + shift, _ends[i] + shift);
    }

    private void MergeShort(MergeTable merges)
    {
        for (var i = 0; i + 1 < Count; i++) _ranks[i] = merges.Rank(_ids[i], _ids[i + 1], out _joined[i]);
        while (Count > 1)
        {
            var best = 0;
            for (var i = 1; i + 1 < Count; i++)
                if (_ranks[i] < _ranks[best]) best = i;
            if (_ranks[best] == int.MaxValue) return;
            (_ids[best], _ends[best]) = (_joined[best], _ends[best + 1]);
            var tail = Count - best - 2;
            foreach (var array in (ReadOnlySpan<int[]>)[_ids, _starts, _ends, _ranks, _joined])
                Array.Copy(array, best + 2, array, best + 1, tail);
            Count--;
            if (best + 1 < Count) _ranks[best] = merges.Rank(_ids[best], _ids[best + 1], out _joined[best]);
            if (best > 0) _ranks[best - 1] = merges.Rank(_ids[best - 1], _ids[best], out _joined[best - 1]);
        }
    }

    private void MergeLong(MergeTable merges)
    {
        _heapCount = 0;
        if (_heap.Length < Count) _heap = new ulong[Count * 2];
        for (var i = 0; i < Count; i++)
        {
            (_previous[i], _next[i]) = (i - 1, i + 1 < Count ? i + 1 : -1);
            _ranks[i] = i + 1 < Count ? merges.Rank(_ids[i], _ids[i + 1], out _joined[i]) : int.MaxValue;
            if (_ranks[i] != int.MaxValue) _heap[_heapCount++] = Key(_ranks[i], i);
        }
        for (var i = _heapCount / 2 - 1; i >= 0; i--) SiftDown(i);
        while (_heapCount > 0)
        {
            var top = Pop();
            var at = (int)(uint)top;
            if (_ranks[at] != (int)(top >> 32)) continue;       // the pair has changed since
            var right = _next[at];
            (_ids[at], _ends[at]) = (_joined[at], _ends[right]);
            _next[at] = _next[right];
            _ranks[right] = int.MaxValue;
            if (_next[at] >= 0) _previous[_next[at]] = at;
            Update(merges, at);
            if (_previous[at] >= 0) Update(merges, _previous[at]);
        }
        var count = 0;
        for (var i = 0; i >= 0; i = _next[i])
        {
            (_ids[count], _starts[count], _ends[count]) = (_ids[i], _starts[i], _ends[i]);
            count++;
        }
        Count = count;
    }

    private void Update(MergeTable merges, int at)
    {
        _ranks[at] = _next[at] < 0 ? int.MaxValue : merges.Rank(_ids[at], _ids[_next[at]], out _joined[at]);
        if (_ranks[at] != int.MaxValue) PushHeap(Key(_ranks[at], at));
    }

    private static ulong Key(int rank, int position) => (ulong)(uint)rank << 32 | (uint)position;

    private void PushHeap(ulong key)
    {
        if (_heapCount == _heap.Length) Array.Resize(ref _heap, _heapCount * 2);
        var i = _heapCount++;
        while (i > 0 && _heap[(i - 1) / 2] > key)
        {
            _heap[i] = _heap[(i - 1) / 2];
            i = (i - 1) / 2;
        }
        _heap[i] = key;
    }

    private ulong Pop()
    {
        var top = _heap[0];
        _heap[0] = _heap[--_heapCount];
        SiftDown(0);
        return top;
    }

    private void SiftDown(int i)
    {
        if (i >= _heapCount) return;
        var key = _heap[i];
        while (true)
        {
            var child = 2 * i + 1;
            if (child >= _heapCount) break;
            if (child + 1 < _heapCount && _heap[child + 1] < _heap[child]) child++;
            if (_heap[child] >= key) break;
            _heap[i] = _heap[child];
            i = child;
        }
        _heap[i] = key;
    }

    private void Grow()
    {
        var size = Count * 2;
        Array.Resize(ref _ids, size);
        Array.Resize(ref _starts, size);
        Array.Resize(ref _ends, size);
        (_ranks, _joined, _next, _previous) = (new int[size], new int[size], new int[size], new int[size]);
    }
}
