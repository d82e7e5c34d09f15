// NFC, NFD, NFKC and NFKD (Unicode Standard Annex 15) on streams of code points that carry a "change", so that the caller can
// keep offsets: 0 replaces the next character of the source, n > 0 inserts one, -n replaces one and removes n more after it.
namespace PeftAlign.Models.Text.Unicode;

/// <summary>Takes code points in order, gives the normalised ones to a sink.</summary>
internal sealed class UnicodeNormalization(bool compatibility, bool compose, Action<int, int> sink)
{
    private const int SBase = 0xAC00, LBase = 0x1100, VBase = 0x1161, TBase = 0x11A7;
    private const int LCount = 19, VCount = 21, TCount = 28, SCount = LCount * VCount * TCount;

    private static readonly Dictionary<(int, int), int> Compositions = MakeCompositions();

    // Characters since the last starter (included), in canonical order up to _sorted.
    private readonly List<(int Point, int Class, int Change)> _pending = [];

    /// <summary>Whether no character of a text can change under any form: nothing from U+00C0 on, where NFC needs
    /// U+0300.</summary>
    public static bool IsUnchanged(ReadOnlySpan<char> text, bool compatibility, bool compose) =>
        compatibility ? !text.ContainsAnyExceptInRange('\0', '\u009F')
        : !text.ContainsAnyExceptInRange('\0', compose ? '\u02FF' : '\u00BF');

    /// <summary>Takes the next code point of the source.</summary>
    public void Add(int point)
    {
        var change = 0;
        Decompose(point, ref change);
    }

    /// <summary>Gives out what is still held back.</summary>
    public void End()
    {
        Flush();
        _pending.Clear();
    }

    private void Decompose(int point, ref int change)
    {
        if (point < 0xC0 && (!compatibility || point < 0xA0)) Push(point, ref change);
        else if ((uint)(point - SBase) < SCount)
        {
            var s = point - SBase;
            Push(LBase + s / (VCount * TCount), ref change);
            Push(VBase + s % (VCount * TCount) / TCount, ref change);
            if (s % TCount != 0) Push(TBase + s % TCount, ref change);
        }
        else if (UnicodeData.Decompositions.TryGetValue(point, out var mapping) && (compatibility || !mapping.IsCompatibility))
        {
            foreach (var part in mapping.Points) Decompose(part, ref change);
        }
        else Push(point, ref change);
    }

    private void Push(int point, ref int change)
    {
        var combiningClass = UnicodeData.CombiningClass(point);
        if (combiningClass == 0 && _pending.Count > 0 && !(compose && MayJoinPrevious(point))) Flush();
        _pending.Add((point, combiningClass, change));
        change = 1;
    }

    // Two starters compose only in Hangul and in the few pairs of the table; others end the run.
    private bool MayJoinPrevious(int point) =>
        (uint)(point - VBase) < VCount || (uint)(point - TBase - 1) < TCount - 1 || SecondStarters.Contains(point);

    private static readonly HashSet<int> SecondStarters = [.. Compositions.Keys.Select(pair => pair.Item2)
        .Where(point => UnicodeData.CombiningClass(point) == 0)];

    private void Flush()
    {
        Sort();
        if (compose) Compose();
        foreach (var (point, _, change) in _pending) sink(point, change);
        _pending.Clear();
    }

    // Canonical ordering: stable by class within each run of non-starters.
    private void Sort()
    {
        for (var start = 0; start < _pending.Count; start++)
        {
            if (_pending[start].Class == 0) continue;
            var end = start + 1;
            while (end < _pending.Count && _pending[end].Class != 0) end++;
            if (end - start > 1)
            {
                var run = _pending.GetRange(start, end - start).OrderBy(item => item.Class).ToList();
                for (var i = 0; i < run.Count; i++) _pending[start + i] = run[i];
            }
            start = end;
        }
    }

    private void Compose()
    {
        var (starter, write, lastClass) = (-1, 0, 0);
        for (var read = 0; read < _pending.Count; read++)
        {
            var item = _pending[read];
            var blocked = starter >= 0 && write - starter > 1 && (lastClass == 0 || lastClass >= item.Class);
            if (starter >= 0 && !blocked && Pair(_pending[starter].Point, item.Point) is { } joined)
            {
                // The joined character stands for both sources: one more source character is used up.
                _pending[starter] = (joined, 0, _pending[starter].Change + item.Change - 1);
                continue;
            }
            if (item.Class == 0) starter = write;
            lastClass = item.Class;
            _pending[write++] = item;
        }
        _pending.RemoveRange(write, _pending.Count - write);
    }

    private static int? Pair(int first, int second)
    {
        if ((uint)(first - LBase) < LCount && (uint)(second - VBase) < VCount)
            return SBase + ((first - LBase) * VCount + (second - VBase)) * TCount;
        if ((uint)(first - SBase) < SCount && (first - SBase) % TCount == 0 && (uint)(second - TBase - 1) < TCount - 1)
            return first + (second - TBase);
        return Compositions.TryGetValue((first, second), out var joined) ? joined : null;
    }

    private static Dictionary<(int, int), int> MakeCompositions() =>
        UnicodeData.Decompositions.Where(row => row.Value.Composes && row.Value.Points.Length == 2)
            .ToDictionary(row => (row.Value.Points[0], row.Value.Points[1]), row => row.Key);
}
