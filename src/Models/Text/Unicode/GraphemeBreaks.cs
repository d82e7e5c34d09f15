// Extended grapheme clusters (Unicode Standard Annex 29), which the normalizer Precompiled works by. The rule for Indic conjuncts
// (GB9c) is left out: it joins only clusters that are too long for Precompiled anyway.
namespace PeftAlign.Models.Text.Unicode;

/// <summary>Finds where user-perceived characters end.</summary>
internal static class GraphemeBreaks
{
    /// <summary>The index after the cluster that starts at <paramref name="start"/>.</summary>
    /// <param name="text">Well-formed UTF-16.</param>
    /// <param name="start">Index of the first unit of a cluster; less than the length.</param>
    public static int Next(ReadOnlySpan<char> text, int start)
    {
        var position = start;
        var point = CodePoints.Next(text, ref position);
        var before = UnicodeData.Break(point);
        var flags = 1;                                      // regional indicators so far
        var pictographic = UnicodeData.IsPictographic(point);
        var joiner = false;                                 // pictographic Extend* ZWJ just before
        while (position < text.Length)
        {
            if (text[position] < 0x300 && before == GraphemeBreak.Other) return position;
            var next = position;
            point = CodePoints.Next(text, ref next);
            var after = UnicodeData.Break(point);
            var isPictographic = UnicodeData.IsPictographic(point);
            if (IsBreak(before, after, flags) && !(joiner && isPictographic)) return position;
            flags = after == GraphemeBreak.RegionalIndicator ? flags + 1 : 1;
            joiner = pictographic && after == GraphemeBreak.ZWJ;
            pictographic = isPictographic || (pictographic && after == GraphemeBreak.Extend);
            (before, position) = (after, next);
        }
        return position;
    }

    // GB3 to GB9b, GB12, GB13 and GB999.
    private static bool IsBreak(GraphemeBreak before, GraphemeBreak after, int flags)
    {
        if (before == GraphemeBreak.CR && after == GraphemeBreak.LF) return false;
        if (IsControl(before) || IsControl(after)) return true;
        if (after is GraphemeBreak.Extend or GraphemeBreak.ZWJ or GraphemeBreak.SpacingMark) return false;
        return before switch
        {
            GraphemeBreak.Prepend => false,
            GraphemeBreak.L => after is not (GraphemeBreak.L or GraphemeBreak.V or GraphemeBreak.LV or GraphemeBreak.LVT),
            GraphemeBreak.LV or GraphemeBreak.V => after is not (GraphemeBreak.V or GraphemeBreak.T),
            GraphemeBreak.LVT or GraphemeBreak.T => after is not GraphemeBreak.T,
            GraphemeBreak.RegionalIndicator => after != GraphemeBreak.RegionalIndicator || flags % 2 == 0,
            _ => true,
        };
    }

    private static bool IsControl(GraphemeBreak value) => value is GraphemeBreak.CR or GraphemeBreak.LF or GraphemeBreak.Control;
}
