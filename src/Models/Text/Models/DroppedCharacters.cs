// Offsets in a word with characters that have no token and no unknown token to stand for them. The `tokenizers` library counts
// the UTF-8 bytes of the symbols that it keeps, so what follows a dropped character moves to the left. Ours are to equal its.
using PeftAlign.Models.Text.Unicode;

namespace PeftAlign.Models.Text.Models;

/// <summary>Moves symbols together.</summary>
internal static class DroppedCharacters
{
    /// <summary>Sets the ranges of the symbols of a word as if they followed one another without gaps, in bytes.</summary>
    public static void CloseGaps(ReadOnlySpan<char> word, MergeBuffer symbols)
    {
        var (bytes, unit, unitBytes) = (0, 0, 0);       // bytes kept so far; a unit of the word and the bytes before it
        for (var i = 0; i < symbols.Count; i++)
        {
            var (start, end) = symbols[i];
            var length = System.Text.Encoding.UTF8.GetByteCount(word[start..end]);
            var from = UnitAt(word, bytes, ref unit, ref unitBytes);
            bytes += length;
            UnitAt(word, bytes - 1, ref unit, ref unitBytes);
            symbols[i] = (from, unit + CodePoints.Units(Point(word, unit)));
        }
    }

    // The start of the character that a byte belongs to; bytes are asked for in order.
    private static int UnitAt(ReadOnlySpan<char> word, int index, ref int unit, ref int unitBytes)
    {
        while (unitBytes + CodePoints.Utf8Length(Point(word, unit)) <= index)
        {
            unitBytes += CodePoints.Utf8Length(Point(word, unit));
            unit += CodePoints.Units(Point(word, unit));
        }
        return unit;
    }

    private static int Point(ReadOnlySpan<char> word, int unit) => CodePoints.Next(word, ref unit);
}
