// One encoded text while it is truncated, wrapped in special tokens and padded. Becomes an EncodedText at the end.
using PeftAlign.Abstractions;

namespace PeftAlign.Models.Text.PostProcessors;

/// <summary>Parallel lists, one entry per token, and what truncation cut off.</summary>
internal sealed class EncodedRow
{
    public List<int> Ids { get; } = [];
    public List<string> Tokens { get; } = [];
    public List<(int Start, int End)> Offsets { get; } = [];
    public List<int?> WordIds { get; } = [];
    public List<int> TypeIds { get; private set; } = [];
    public List<int> SpecialTokensMask { get; } = [];
    public List<int> AttentionMask { get; } = [];
    public List<EncodedRow> Overflowing { get; private set; } = [];

    public int Count => Ids.Count;

    /// <summary>Appends one token.</summary>
    public void Add(int id, string token, (int, int) offset, int? word, int type, int special)
    {
        Ids.Add(id);
        Tokens.Add(token);
        Offsets.Add(offset);
        WordIds.Add(word);
        TypeIds.Add(type);
        SpecialTokensMask.Add(special);
        AttentionMask.Add(1);
    }

    /// <summary>Appends another row. Overflowing parts of both are combined in every way, as tokenizers does.</summary>
    public void Append(EncodedRow other)
    {
        var overflowing = new List<EncodedRow>();
        foreach (var mine in Overflowing)
        {
            overflowing.Add(Joined(mine, other));
            foreach (var theirs in other.Overflowing) overflowing.Add(Joined(mine, theirs));
        }
        foreach (var theirs in other.Overflowing) overflowing.Add(Joined(this, theirs));
        AppendTokens(other);
        Overflowing = overflowing;
    }

    /// <summary>A copy with every type id set.</summary>
    public EncodedRow WithType(int type)
    {
        var row = Slice(0, Count);
        row.TypeIds = [.. Enumerable.Repeat(type, Count)];
        row.Overflowing = [.. Overflowing.Select(part => part.WithType(type))];
        return row;
    }

    /// <summary>A copy between special tokens of one type; nothing within it counts as special any more.</summary>
    public EncodedRow Between((string Token, int Id)? before, (string Token, int Id) after, int type)
    {
        var row = new EncodedRow();
        if (before is { } first) row.Add(first.Id, first.Token, (0, 0), null, type, 1);
        for (var i = 0; i < Count; i++) row.Add(Ids[i], Tokens[i], Offsets[i], WordIds[i], TypeIds[i], 0);
        row.Add(after.Id, after.Token, (0, 0), null, type, 1);
        row.Overflowing = [.. Overflowing.Select(part => part.Between(before, after, type))];
        return row;
    }

    /// <summary>Cuts the row to a length; the rest becomes overflowing parts that share <paramref name="stride"/>
    /// tokens.</summary>
    public EncodedRow Truncate(int maxLength, int stride, bool fromLeft)
    {
        if (maxLength >= Count) return this;
        if (maxLength == 0) return new EncodedRow { Overflowing = [this] };
        var parts = Ranges(maxLength, maxLength - stride, fromLeft).Select(range => Slice(range.Start, range.End)).ToList();
        parts[0].Overflowing = parts[1..];
        return parts[0];
    }

    /// <summary>Fills the row and its overflowing parts up to a length.</summary>
    public void Pad(int length, PaddingOptions padding)
    {
        foreach (var part in Overflowing) part.Pad(length, padding);
        var missing = length - Count;
        if (missing <= 0) return;
        var at = padding.OnLeft ? 0 : Count;
        Ids.InsertRange(at, Enumerable.Repeat(padding.PadId, missing));
        Tokens.InsertRange(at, Enumerable.Repeat(padding.PadToken, missing));
        Offsets.InsertRange(at, Enumerable.Repeat((0, 0), missing));
        WordIds.InsertRange(at, Enumerable.Repeat((int?)null, missing));
        TypeIds.InsertRange(at, Enumerable.Repeat(padding.PadTypeId, missing));
        SpecialTokensMask.InsertRange(at, Enumerable.Repeat(1, missing));
        AttentionMask.InsertRange(at, Enumerable.Repeat(0, missing));
    }

    /// <summary>The finished result.</summary>
    public EncodedText Finish() => new()
    {
        Ids = Ids,
        Tokens = Tokens,
        Offsets = Offsets,
        WordIds = WordIds,
        TypeIds = TypeIds,
        SpecialTokensMask = SpecialTokensMask,
        AttentionMask = AttentionMask,
        Overflowing = [.. Overflowing.Select(part => part.Finish())],
    };

    private IEnumerable<(int Start, int End)> Ranges(int length, int step, bool fromLeft)
    {
        if (fromLeft)
        {
            for (var end = Count; end > 0; end -= step)
            {
                var start = Math.Max(0, end - length);
                yield return (start, end);
                if (start == 0) yield break;
            }
        }
        else
        {
            for (var start = 0; start < Count; start += step)
            {
                var end = Math.Min(start + length, Count);
                yield return (start, end);
                if (end == Count) yield break;
            }
        }
    }

    private EncodedRow Slice(int start, int end)
    {
        var row = new EncodedRow();
        for (var i = start; i < end; i++)
        {
            row.Add(Ids[i], Tokens[i], Offsets[i], WordIds[i], TypeIds[i], SpecialTokensMask[i]);
            row.AttentionMask[^1] = AttentionMask[i];
        }
        return row;
    }

    private static EncodedRow Joined(EncodedRow first, EncodedRow second)
    {
        var row = first.Slice(0, first.Count);
        row.AppendTokens(second);
        return row;
    }

    private void AppendTokens(EncodedRow other)
    {
        Ids.AddRange(other.Ids);
        Tokens.AddRange(other.Tokens);
        Offsets.AddRange(other.Offsets);
        WordIds.AddRange(other.WordIds);
        TypeIds.AddRange(other.TypeIds);
        SpecialTokensMask.AddRange(other.SpecialTokensMask);
        AttentionMask.AddRange(other.AttentionMask);
    }
}
