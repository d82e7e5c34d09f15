// Python's character classes and case mappings. Categories and simple case mappings are the runtime's own tables (they
// work without ICU); what the runtime's simple mappings leave out stands here: expansions (SpecialCasing.txt of the
// Unicode Character Database, unconditional part), title case digraphs, final sigma, and letters it never maps.
using System.Globalization;
using System.Text;

namespace PeftAlign.Models.Templates.Jinja;

internal static class PyChars
{
    private static readonly (int Code, string Upper, string Title)[] Expansions =
    [
        (0xDF, "SS", "Ss"), (0x131, "I", "I"), (0x149, "ʼN", "ʼN"), (0x17F, "S", "S"), (0x1F0, "J\u030c", "J\u030c"),
        (0x345, "Ι", "Ι"), (0x390, "Ι\u0308\u0301", "Ι\u0308\u0301"), (0x3B0, "Υ\u0308\u0301", "Υ\u0308\u0301"),
        (0x587, "ԵՒ", "Եւ"), (0x1E96, "H\u0331", "H\u0331"), (0x1E97, "T\u0308", "T\u0308"), (0x1E98, "W\u030a", "W\u030a"),
        (0x1E99, "Y\u030a", "Y\u030a"), (0x1E9A, "Aʾ", "Aʾ"), (0x1E9B, "\u1e60", "\u1e60"), (0x1F50, "Υ\u0313", "Υ\u0313"),
        (0x1F52, "Υ\u0313\u0300", "Υ\u0313\u0300"), (0x1F54, "Υ\u0313\u0301", "Υ\u0313\u0301"),
        (0x1F56, "Υ\u0313\u0342", "Υ\u0313\u0342"), (0x1FB2, "\u1fbaΙ", "\u1fba\u0345"), (0x1FB3, "ΑΙ", "\u1fbc"),
        (0x1FB4, "ΆΙ", "Ά\u0345"), (0x1FB6, "Α\u0342", "Α\u0342"), (0x1FB7, "Α\u0342Ι", "Α\u0342\u0345"),
        (0x1FBC, "ΑΙ", "\u1fbc"), (0x1FBE, "Ι", "Ι"), (0x1FC2, "\u1fcaΙ", "\u1fca\u0345"), (0x1FC3, "ΗΙ", "\u1fcc"),
        (0x1FC4, "ΉΙ", "Ή\u0345"), (0x1FC6, "Η\u0342", "Η\u0342"), (0x1FC7, "Η\u0342Ι", "Η\u0342\u0345"),
        (0x1FCC, "ΗΙ", "\u1fcc"), (0x1FD2, "Ι\u0308\u0300", "Ι\u0308\u0300"), (0x1FD3, "Ι\u0308\u0301", "Ι\u0308\u0301"),
        (0x1FD6, "Ι\u0342", "Ι\u0342"), (0x1FD7, "Ι\u0308\u0342", "Ι\u0308\u0342"), (0x1FE2, "Υ\u0308\u0300", "Υ\u0308\u0300"),
        (0x1FE3, "Υ\u0308\u0301", "Υ\u0308\u0301"), (0x1FE4, "Ρ\u0313", "Ρ\u0313"), (0x1FE6, "Υ\u0342", "Υ\u0342"),
        (0x1FE7, "Υ\u0308\u0342", "Υ\u0308\u0342"), (0x1FF2, "\u1ffaΙ", "\u1ffa\u0345"), (0x1FF3, "ΩΙ", "\u1ffc"),
        (0x1FF4, "ΏΙ", "Ώ\u0345"), (0x1FF6, "Ω\u0342", "Ω\u0342"), (0x1FF7, "Ω\u0342Ι", "Ω\u0342\u0345"),
        (0x1FFC, "ΩΙ", "\u1ffc"), (0xFB00, "FF", "Ff"), (0xFB01, "FI", "Fi"), (0xFB02, "FL", "Fl"), (0xFB03, "FFI", "Ffi"),
        (0xFB04, "FFL", "Ffl"), (0xFB05, "ST", "St"), (0xFB06, "ST", "St"), (0xFB13, "ՄՆ", "Մն"), (0xFB14, "ՄԵ", "Մե"),
        (0xFB15, "ՄԻ", "Մի"), (0xFB16, "ՎՆ", "Վն"), (0xFB17, "ՄԽ", "Մխ"),
    ];

    private static readonly Dictionary<int, (string Upper, string Title)> Special =
        Expansions.ToDictionary(e => e.Code, e => (e.Upper, e.Title));

    // Ideographs with a numeric value, which the runtime's tables lack.
    private const string NumericIdeographs =
        "㐅㒃㠪㭍一七万三九二五亖亿什仟仨伍佰億兆兩八六十千卄卅卌叁参參叄四壱壹幺廾廿弌弍弎弐拾捌柒漆玖百肆萬貮貳贰阡陆陌陸零"
        + "\uf96b\uf973\uf978\uf9b2\uf9d1\uf9d3\uf9fd";

    // Other_Lowercase and Other_Uppercase of PropList.txt, as first and last code points.
    private static readonly int[] OtherLower =
    [
        0xAA, 0xAA, 0xBA, 0xBA, 0x2B0, 0x2B8, 0x2C0, 0x2C1, 0x2E0, 0x2E4, 0x345, 0x345, 0x37A, 0x37A, 0x10FC, 0x10FC,
        0x1D2C, 0x1D6A, 0x1D78, 0x1D78, 0x1D9B, 0x1DBF, 0x2071, 0x2071, 0x207F, 0x207F, 0x2090, 0x209C, 0x2170, 0x217F,
        0x24D0, 0x24E9,
        0x2C7C, 0x2C7D,
        0xA69C, 0xA69D, 0xA770, 0xA770, 0xA7F2, 0xA7F4, 0xA7F8, 0xA7F9, 0xAB5C, 0xAB5F, 0xAB69, 0xAB69, 0x10780, 0x10780,
        0x10783, 0x10785, 0x10787, 0x107B0, 0x107B2, 0x107BA, 0x1E030, 0x1E06D,
    ];

    private static readonly int[] OtherUpper =
        [0x2160, 0x216F, 0x24B6, 0x24CF, 0x1F130, 0x1F149, 0x1F150, 0x1F169, 0x1F170, 0x1F189];

    public static UnicodeCategory Category(int code) => CharUnicodeInfo.GetUnicodeCategory(code);

    /// <summary>str.isprintable of one code point: no control, format, surrogate, private, unassigned or separator but
    /// space.</summary>
    public static bool IsPrintable(int code) => code == ' '
        || Category(code) is not (UnicodeCategory.Control or UnicodeCategory.Format
        or UnicodeCategory.Surrogate or UnicodeCategory.PrivateUse or UnicodeCategory.OtherNotAssigned
        or UnicodeCategory.SpaceSeparator or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator);

    public static bool IsAlpha(int code) => Category(code) is UnicodeCategory.UppercaseLetter or UnicodeCategory.LowercaseLetter
        or UnicodeCategory.TitlecaseLetter or UnicodeCategory.ModifierLetter or UnicodeCategory.OtherLetter;

    public static bool IsDecimal(int code) => Category(code) == UnicodeCategory.DecimalDigitNumber;

    public static bool IsDigit(int code) => CharUnicodeInfo.GetDigitValue(PyText.One(code), 0) >= 0;

    public static bool IsNumeric(int code) => CharUnicodeInfo.GetNumericValue(PyText.One(code), 0) >= 0
        || Category(code) is UnicodeCategory.LetterNumber or UnicodeCategory.OtherNumber
        || (code <= char.MaxValue && NumericIdeographs.Contains((char)code));

    public static bool IsLower(int code) => Category(code) == UnicodeCategory.LowercaseLetter || Within(OtherLower, code);

    public static bool IsUpper(int code) => Category(code) == UnicodeCategory.UppercaseLetter || Within(OtherUpper, code);

    public static bool IsTitle(int code) => Category(code) == UnicodeCategory.TitlecaseLetter;

    public static bool IsCased(int code) => IsLower(code) || IsUpper(code) || IsTitle(code);

    private static bool Within(int[] ranges, int code)
    {
        for (int i = 0; i < ranges.Length; i += 2)
            if (code >= ranges[i] && code <= ranges[i + 1]) return true;
        return false;
    }

    public static string Upper(int code)
    {
        if (code >= 0x80 && Special.TryGetValue(code, out var forms)) return forms.Upper;
        return GreekIota(code) is int capital ? PyText.One(BareCapital(capital)) + "Ι" : Simple(code, upper: true);
    }

    public static string Title(int code)
    {
        if (code is >= 0x10D0 and <= 0x10FF) return PyText.One(code);                 // Georgian has capitals, but no title case
        if (code is >= 0x1C4 and <= 0x1CC) return PyText.One((code - 0x1C4) / 3 * 3 + 0x1C5);
        if (code is >= 0x1F1 and <= 0x1F3) return "ǲ";
        if (Special.TryGetValue(code, out var forms)) return forms.Title;
        return GreekIota(code) is int capital ? PyText.One(capital) : Simple(code, upper: true);
    }

    /// <summary>Lower case of the code point at a position; sigma depends on what surrounds it.</summary>
    public static string Lower(IReadOnlyList<int> text, int i) => text[i] switch
    {
        0x130 => "i\u0307",
        0x3A3 => FinalSigma(text, i) ? "ς" : "σ",
        0x212A => "k",
        0x212B => "å",
        0x2126 => "ω",
        0x1E9E => "ß",
        _ => Simple(text[i], upper: false),
    };

    /// <summary>The capital without iota of the letters U+1F88 to U+1FAF.</summary>
    private static int BareCapital(int withIota) =>
        (withIota < 0x1F98 ? 0x1F08 : withIota < 0x1FA8 ? 0x1F28 : 0x1F68) + (withIota & 7);

    /// <summary>The capital with iota beneath (title case) of the letters U+1F80 to U+1FAF; null for others.</summary>
    private static int? GreekIota(int code) => code is >= 0x1F80 and <= 0x1FAF ? code | 8 : null;

    private static string Simple(int code, bool upper)
    {
        if (code < 0x80) return PyText.One(upper ? char.ToUpperInvariant((char)code) : char.ToLowerInvariant((char)code));
        if (!Rune.IsValid(code)) return PyText.One(code);
        Rune rune = new(code);
        return (upper ? Rune.ToUpperInvariant(rune) : Rune.ToLowerInvariant(rune)).ToString();
    }

    /// <summary>A sigma ends a word where a cased letter stands before it and none after, letters' marks aside.</summary>
    private static bool FinalSigma(IReadOnlyList<int> text, int i)
    {
        int before = i - 1, after = i + 1;
        while (before >= 0 && Ignorable(text[before])) before--;
        while (after < text.Count && Ignorable(text[after])) after++;
        Meter.Current.Step(1 + ((after - before) >> 3));
        return before >= 0 && IsCased(text[before]) && !(after < text.Count && IsCased(text[after]));
    }

    private static bool Ignorable(int code) =>
        code is '\'' or '.' or ':' or '^' or '`' or 0xA8 or 0xAD or 0xAF or 0xB4 or 0xB7 or 0xB8
        or 0x387 or 0x55F or 0x5F4 or 0x2018 or 0x2019 or 0x2024 or 0x2027 or 0xFE13 or 0xFE52 or 0xFE55 or 0xFF07 or 0xFF0E or 0xFF1A
            || Category(code) is UnicodeCategory.NonSpacingMark or UnicodeCategory.EnclosingMark
        or UnicodeCategory.Format or UnicodeCategory.ModifierLetter or UnicodeCategory.ModifierSymbol;

    /// <summary>str.title: the first letter of each run of cased letters in title case, the rest lowered.</summary>
    public static string TitleWords(string text)
    {
        int[] points = [.. PyText.CodePoints(text)];
        bool inWord = false;
        return Map(points, i =>
        {
            string mapped = inWord ? Lower(points, i) : Title(points[i]);
            inWord = IsCased(points[i]);
            return mapped;
        });
    }

    public static string Upper(string text) => Ascii.IsValid(text) ? text.ToUpperInvariant()
        : Map([.. PyText.CodePoints(text)], (points, i) => Upper(points[i]));

    public static string Lower(string text) => Ascii.IsValid(text) ? text.ToLowerInvariant()
        : Map([.. PyText.CodePoints(text)], (points, i) => Lower(points, i));

    /// <summary>str.capitalize: the first character in title case, the rest lowered.</summary>
    public static string Capitalize(string text) =>
        Map([.. PyText.CodePoints(text)], (points, i) => i == 0 ? Title(points[0]) : Lower(points, i));

    /// <summary>str.casefold: like lower case, but with expansions, and no final sigma.</summary>
    public static string CaseFold(string text) => Map([.. PyText.CodePoints(text)], (points, i) => Fold(points[i]));

    private static string Fold(int code)
    {
        if (code is 0x131 || code is >= 0x13A0 and <= 0x13F5) return PyText.One(code);
        if (code is 0x1E9E) return "ss";
        return string.Concat(PyText.CodePoints(Upper(code)).Select(
            c => code is >= 0x13F8 and <= 0x13FD or >= 0xAB70 and <= 0xABBF ? PyText.One(c) : Lower([c], 0)));
    }

    public static string SwapCase(string text) => Map(
        [.. PyText.CodePoints(text)],
        (points, i) => IsUpper(points[i]) ? Lower(points, i) : IsLower(points[i]) ? Upper(points[i]) : PyText.One(points[i]));

    private static string Map(int[] points, Func<int[], int, string> map) => Map(points, i => map(points, i));

    private static string Map(int[] points, Func<int, string> map)
    {
        Meter.Current.Step(1 + (points.Length >> 1));
        Meter.Current.Characters(points.Length);
        var mapped = new StringBuilder(points.Length);
        for (int i = 0; i < points.Length; i++) mapped.Append(map(i));
        return mapped.ToString();
    }
}
