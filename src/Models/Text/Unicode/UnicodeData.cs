// Character properties from unicode.bin (made by make_tables.py, which says which Unicode versions they are). The process runs
// without ICU, and results must not change with the runtime, so text code asks here and not System.Globalization.
using System.IO.Compression;

namespace PeftAlign.Models.Text.Unicode;

/// <summary>Properties of code points (0 to 0x10FFFF). Surrogate code points have category Cs.</summary>
internal static class UnicodeData
{
    // One bit per general category, in the order of System.Globalization.UnicodeCategory.
    public const uint Letters = 0b1_1111;                       // Lu Ll Lt Lm Lo
    public const uint Marks = 0b111 << 5;                       // Mn Mc Me
    public const uint DecimalDigits = 1 << 8;                   // Nd
    public const uint Numbers = 0b111 << 8;                     // Nd Nl No
    public const uint Separators = 0b111 << 11;                 // Zs Zl Zp
    public const uint ConnectorPunctuation = 1 << 18;           // Pc
    public const uint Punctuation = 0b111_1111 << 18;           // Pc Pd Ps Pe Pi Pf Po
    public const uint Symbols = 0b1111 << 25;                   // Sm Sc Sk So

    private const int Alphabetic = 1, Pictographic = 2, OldPunctuation = 4, OldMark = 8, OldNonspacing = 16, OldOther = 32, Old = 64;

    private static readonly UnicodeTables Tables = UnicodeTables.Load();
    private static readonly ushort[] Kinds = Tables.Kinds;
    private static readonly uint[] CategoryBits = Tables.CategoryBits;
    private static readonly byte[] Flags = Tables.Flags;
    private static readonly ILookup<int, int> Unfolded = Tables.Folds.ToLookup(pair => pair.Value, pair => pair.Key);

    /// <summary>The bit of the code point's general category, to be tested with the masks above.</summary>
    public static uint CategoryBit(int point) => CategoryBits[Kinds[point]];

    /// <summary>Whether the category is one of those in <paramref name="mask"/>.</summary>
    public static bool Is(int point, uint mask) => (CategoryBits[Kinds[point]] & mask) != 0;

    /// <summary>White_Space: the same set in Rust, in Oniguruma's \s and in Unicode since 6.3.</summary>
    public static bool IsWhiteSpace(int point) =>
        point < 0x80 ? point == ' ' || (uint)(point - 9) <= 4 : point == 0x85 || Is(point, Separators);

    /// <summary>Oniguruma's \w: letters, marks, decimal digits, connectors and what else is Alphabetic.</summary>
    public static bool IsWord(int point) =>
        Is(point, Letters | Marks | DecimalDigits | ConnectorPunctuation) || (Flags[Kinds[point]] & Alphabetic) != 0;

    /// <summary>Property Alphabetic.</summary>
    public static bool IsAlphabetic(int point) => (Flags[Kinds[point]] & Alphabetic) != 0;

    /// <summary>Property Uppercase: category Lu, Roman numerals and letters in circles and squares.</summary>
    public static bool IsUppercase(int point) => Is(point, 1) || point is (>= 0x2160 and <= 0x216F) or (>= 0x24B6 and <= 0x24CF)
        or (>= 0x1F130 and <= 0x1F149) or (>= 0x1F150 and <= 0x1F169) or (>= 0x1F170 and <= 0x1F189);

    /// <summary>Property Lowercase: category Ll, Roman numerals, letters in circles and small raised or lowered ones.</summary>
    public static bool IsLowercase(int point) => Is(point, 1 << 1) || point is 0xAA or 0xBA or (>= 0x2B0 and <= 0x2B8)
        or 0x2C0 or 0x2C1 or (>= 0x2E0 and <= 0x2E4) or 0x345 or 0x37A or 0x10FC or (>= 0x1D2C and <= 0x1D6A) or 0x1D78
        or (>= 0x1D9B and <= 0x1DBF) or 0x2071 or 0x207F or (>= 0x2090 and <= 0x209C) or (>= 0x2170 and <= 0x217F)
        or (>= 0x24D0 and <= 0x24E9) or 0x2C7C or 0x2C7D or 0xA69C or 0xA69D or 0xA770 or (>= 0xA7F2 and <= 0xA7F4) or 0xA7F8
        or 0xA7F9 or (>= 0xAB5C and <= 0xAB5F) or 0xAB69 or 0x10780 or (>= 0x10783 and <= 0x10785) or (>= 0x10787 and <= 0x107B0)
        or (>= 0x107B2 and <= 0x107BA) or (>= 0x1E030 and <= 0x1E06D);

    /// <summary>Property Extended_Pictographic.</summary>
    public static bool IsPictographic(int point) => (Flags[Kinds[point]] & Pictographic) != 0;

    /// <summary>Punctuation in BERT's sense: category P of Unicode 8.0, or an ASCII symbol.</summary>
    public static bool IsBertPunctuation(int point) =>
        point < 0x80
            ? point is (>= 33 and <= 47) or (>= 58 and <= 64) or (>= 91 and <= 96) or (>= 123 and <= 126)
            : (Flags[Kinds[point]] & OldPunctuation) != 0;

    /// <summary>Category M of Unicode 9.0, as the normalizer StripAccents removes it.</summary>
    public static bool IsCombiningMark(int point) => (Flags[Kinds[point]] & OldMark) != 0;

    /// <summary>Category Mn of Unicode 8.0, as BERT removes accents.</summary>
    public static bool IsBertAccent(int point) => (Flags[Kinds[point]] & OldNonspacing) != 0;

    /// <summary>Category Cc, Cf or Co of Unicode 8.0, as BERT removes control characters.</summary>
    public static bool IsBertControl(int point) => (Flags[Kinds[point]] & OldOther) != 0;

    /// <summary>Whether Unicode 9.0 knew the character.</summary>
    public static bool IsOfUnicode9(int point) => (Flags[Kinds[point]] & Old) != 0;

    /// <summary>Canonical combining class.</summary>
    public static int CombiningClass(int point) => Tables.CombiningClasses[Kinds[point]];

    /// <summary>Grapheme_Cluster_Break.</summary>
    public static GraphemeBreak Break(int point) => (GraphemeBreak)Tables.Breaks[Kinds[point]];

    /// <summary>Index of a script by name (case, '_', '-' and spaces ignored), or -1.</summary>
    public static int ScriptIndex(string name) =>
        Array.FindIndex(Tables.ScriptNames, s => Plain(s).Equals(Plain(name), StringComparison.OrdinalIgnoreCase));

    /// <summary>Index of the code point's script, for comparison with <see cref="ScriptIndex"/>.</summary>
    public static int ScriptOf(int point) => Tables.Scripts[Kinds[point]];

    /// <summary>The lower case letter, or the code point itself. U+0130 has two: U+0069 and then U+0307.</summary>
    public static int ToLower(int point)
    {
        if (point < 0x80) return (uint)(point - 'A') <= 'Z' - 'A' ? point | 0x20 : point;
        return Tables.Lower.GetValueOrDefault(point, point);
    }

    /// <summary>Simple case folding.</summary>
    public static int Fold(int point)
    {
        if (point < 0x80) return (uint)(point - 'A') <= 'Z' - 'A' ? point | 0x20 : point;
        return Tables.Folds.GetValueOrDefault(point, point);
    }

    /// <summary>Every code point with the same simple case folding as this one, itself included.</summary>
    public static IEnumerable<int> CaseVariants(int point) => Unfolded[Fold(point)].Prepend(Fold(point));

    /// <summary>Decompositions by code point, for <see cref="UnicodeNormalization"/>.</summary>
    internal static IReadOnlyDictionary<int, UnicodeTables.Decomposition> Decompositions => Tables.Decompositions;

    private static string Plain(string name) => name.Replace("_", "").Replace("-", "").Replace(" ", "");
}

/// <summary>Values of Grapheme_Cluster_Break, in the order of make_tables.py.</summary>
internal enum GraphemeBreak : byte
{
    Other, CR, LF, Control, Extend, ZWJ, RegionalIndicator, Prepend, SpacingMark, L, V, T, LV, LVT,
}

/// <summary>The tables as they are in memory: a kind per code point, and the properties of each kind.</summary>
internal sealed class UnicodeTables
{
    /// <summary>A mapping of Unicode normalisation. Composes: NFC makes the character again from its mapping.</summary>
    internal readonly record struct Decomposition(int[] Points, bool IsCompatibility, bool Composes);

    public readonly ushort[] Kinds = new ushort[0x110000];
    public readonly string[] ScriptNames;
    public readonly uint[] CategoryBits;
    public readonly byte[] Scripts, Flags, Breaks, CombiningClasses;
    public readonly Dictionary<int, int> Lower, Folds;
    public readonly Dictionary<int, Decomposition> Decompositions;

    private readonly byte[] _data;
    private int _position;

    private UnicodeTables(byte[] data)
    {
        _data = data;
        ScriptNames = new string[Next()];
        for (var i = 0; i < ScriptNames.Length; i++)
        {
            var length = Next();
            ScriptNames[i] = System.Text.Encoding.ASCII.GetString(_data, _position, length);
            _position += length;
        }
        var kinds = Next();
        CategoryBits = new uint[kinds];
        (Scripts, Flags, Breaks, CombiningClasses) = (new byte[kinds], new byte[kinds], new byte[kinds], new byte[kinds]);
        for (var i = 0; i < kinds; i++)
        {
            CategoryBits[i] = 1u << _data[_position++];
            (Scripts[i], Flags[i], Breaks[i], CombiningClasses[i]) =
                (_data[_position++], _data[_position++], _data[_position++], _data[_position++]);
        }
        for (var start = 0; start < Kinds.Length;)
        {
            var length = Next();
            Kinds.AsSpan(start, length).Fill((ushort)Next());
            start += length;
        }
        Lower = ReadPairs();
        Folds = ReadPairs();
        Decompositions = ReadDecompositions();
    }

    public static UnicodeTables Load()
    {
        const string name = "PeftAlign.Models.Text.Unicode.unicode.bin";
        using var resource = typeof(UnicodeTables).Assembly.GetManifestResourceStream(name)!;
        using var unpacked = new MemoryStream();
        using (var zlib = new ZLibStream(resource, CompressionMode.Decompress)) zlib.CopyTo(unpacked);
        return new UnicodeTables(unpacked.ToArray());
    }

    private int Next()
    {
        var (value, shift) = (0, 0);
        while (true)
        {
            var b = _data[_position++];
            value |= (b & 0x7F) << shift;
            if (b < 0x80) return value;
            shift += 7;
        }
    }

    private Dictionary<int, int> ReadPairs()
    {
        var count = Next();
        var pairs = new Dictionary<int, int>(count);
        for (var (i, point) = (0, 0); i < count; i++)
        {
            point += Next();
            var offset = Next();
            pairs[point] = (offset & 1) == 0 ? point + (offset >> 1) : point - ((offset + 1) >> 1);
        }
        return pairs;
    }

    private Dictionary<int, Decomposition> ReadDecompositions()
    {
        var count = Next();
        var rows = new Dictionary<int, Decomposition>(count);
        for (var (i, point) = (0, 0); i < count; i++)
        {
            point += Next();
            var head = Next();
            var points = new int[head >> 3];
            for (var k = 0; k < points.Length; k++) points[k] = Next();
            rows[point] = new Decomposition(points, (head & 7) == 1, (head & 7) == 4);
        }
        return rows;
    }
}
