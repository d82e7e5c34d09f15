// A precompiled character map of sentencepiece (normalizer_spec.precompiled_charsmap): 4 bytes with the size of a double-array
// trie (darts-clone), the trie over UTF-8 bytes, then the replacements, each ended by a zero byte.
using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Text;
using PeftAlign.Models.Text.Models;
using PeftAlign.Models.Text.Unicode;

namespace PeftAlign.Models.Text.SentencePiece;

/// <summary>Rules "these characters become those".</summary>
internal sealed class CharsMap
{
    private readonly uint[] _units;
    private readonly byte[] _texts;
    private readonly ConcurrentDictionary<int, string> _cache = [];

    private CharsMap(uint[] units, byte[] texts) => (_units, _texts) = (units, texts);

    /// <summary>Parses a map; throws <see cref="FormatException"/> where its sizes do not fit.</summary>
    public static CharsMap Parse(ReadOnlySpan<byte> blob)
    {
        if (blob.Length <= 4) throw new FormatException($"the character map has {blob.Length} bytes, too few for its head");
        var size = BinaryPrimitives.ReadUInt32LittleEndian(blob);
        if (size % 4 != 0 || size == 0 || size >= blob.Length - 4)
            throw new FormatException($"the character map says that its trie has {size} bytes, but {blob.Length - 4} follow");
        var units = new uint[size / 4];
        for (var i = 0; i < units.Length; i++) units[i] = BinaryPrimitives.ReadUInt32LittleEndian(blob[(4 + 4 * i)..]);
        return new CharsMap(units, blob[(4 + (int)size)..].ToArray());
    }

    /// <summary>The rule for the longest start of a text from <paramref name="start"/> on; null where none fits.</summary>
    /// <param name="text">Well-formed UTF-16.</param>
    /// <param name="start">Where the rule must start.</param>
    /// <param name="end">Where it ends.</param>
    public string? Longest(ReadOnlySpan<char> text, int start, out int end) => Find(text, start, shortest: false, out end);

    /// <summary>The rule for the shortest start of a text, which is what the library `tokenizers` takes.</summary>
    public string? Shortest(ReadOnlySpan<char> text) => Find(text, 0, shortest: true, out _);

    private string? Find(ReadOnlySpan<char> text, int start, bool shortest, out int end)
    {
        Span<byte> bytes = stackalloc byte[4];
        var (node, found, position) = (Offset(_units[0]), -1, start);
        end = start;
        while (position < text.Length)
        {
            var count = Utf8.Encode(CodePoints.Next(text, ref position), bytes);
            for (var k = 0; k < count; k++)
            {
                node ^= bytes[k];
                if (node >= _units.Length || bytes[k] == 0) return Text(found);
                var unit = _units[node];
                if ((unit & 0x800000FF) != bytes[k]) return Text(found);
                node ^= Offset(unit);
                if ((unit >> 8 & 1) == 0 || node >= _units.Length) continue;
                (found, end) = ((int)(_units[node] & 0x7FFFFFFF), position);
                if (shortest) return Text(found);
            }
        }
        return Text(found);
    }

    private static uint Offset(uint unit) => unit >> 10 << (int)((unit & 0x200) >> 6);

    private string? Text(int index)
    {
        if (index < 0 || index >= _texts.Length) return null;
        if (_cache.TryGetValue(index, out var known)) return known;
        var rest = _texts.AsSpan(index);
        var length = rest.IndexOf((byte)0);
        return _cache[index] = Encoding.UTF8.GetString(length < 0 ? rest : rest[..length]);
    }
}
