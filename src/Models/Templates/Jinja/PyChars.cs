// Python's character classes and case mappings. Categories and simple case mappings are the runtime's own tables (they
// work without ICU); what the runtime's simple mappings leave out stands here: expansions (SpecialCasing.txt of the
// Unicode Character Database, unconditional part), and title case digraphs. Which letters have a case, and lower case, are PythonCase's.
using System.Globalization;
using System.Text;
using PeftAlign.Core;

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

    public static bool IsLower(int code) => PythonCase.IsLower(code);

    public static bool IsUpper(int code) => PythonCase.IsUpper(code);

    public static bool IsTitle(int code) => PythonCase.IsTitle(code);

    public static bool IsCased(int code) => PythonCase.IsCased(code);

    public static string Upper(int code)
    {
        if (code >= 0x80 && Special.TryGetValue(code, out var forms)) return forms.Upper;
        return GreekIota(code) is int capital ? PyText.One(BareCapital(capital)) + "Ι" : Simple(code);
    }

    public static string Title(int code)
    {
        if (code is >= 0x10D0 and <= 0x10FF) return PyText.One(code);                 // Georgian has capitals, but no title case
        if (code is >= 0x1C4 and <= 0x1CC) return PyText.One((code - 0x1C4) / 3 * 3 + 0x1C5);
        if (code is >= 0x1F1 and <= 0x1F3) return "ǲ";
        if (Special.TryGetValue(code, out var forms)) return forms.Title;
        return GreekIota(code) is int capital ? PyText.One(capital) : Simple(code);
    }

    /// <summary>The capital without iota of the letters U+1F88 to U+1FAF.</summary>
    private static int BareCapital(int withIota) =>
        (withIota < 0x1F98 ? 0x1F08 : withIota < 0x1FA8 ? 0x1F28 : 0x1F68) + (withIota & 7);

    /// <summary>The capital with iota beneath (title case) of the letters U+1F80 to U+1FAF; null for others.</summary>
    private static int? GreekIota(int code) => code is >= 0x1F80 and <= 0x1FAF ? code | 8 : null;

    private static string Simple(int code)
    {
        if (code < 0x80) return PyText.One(char.ToUpperInvariant((char)code));
        return Rune.IsValid(code) ? Rune.ToUpperInvariant(new Rune(code)).ToString() : PyText.One(code);
    }

    /// <summary>str.title: the first letter of each run of cased letters in title case, the rest lowered.</summary>
    public static string TitleWords(string text)
    {
        int[] points = [.. PyText.CodePoints(text)];
        bool inWord = false;
        var lower = Lowering(points);
        return Map(points, i =>
        {
            string mapped = inWord ? lower(i) : Title(points[i]);
            inWord = IsCased(points[i]);
            return mapped;
        });
    }

    public static string Upper(string text) => Ascii.IsValid(text) ? text.ToUpperInvariant()
        : Each(text, points => i => Upper(points[i]));

    public static string Lower(string text) => Ascii.IsValid(text) ? text.ToLowerInvariant()
        : Each(text, Lowering);

    /// <summary>str.capitalize: the first character in title case, the rest lowered.</summary>
    public static string Capitalize(string text) => Each(text, points =>
    {
        var lower = Lowering(points);
        return i => i == 0 ? Title(points[0]) : lower(i);
    });

    /// <summary>str.casefold: like lower case, but with expansions, and no final sigma.</summary>
    public static string CaseFold(string text) => Each(text, points => i => Fold(points[i]));

    private static string Fold(int code)
    {
        if (code is 0x131 || code is >= 0x13A0 and <= 0x13F5) return PyText.One(code);
        if (code is 0x1E9E) return "ss";
        return string.Concat(PyText.CodePoints(Upper(code)).Select(
            c => code is >= 0x13F8 and <= 0x13FD or >= 0xAB70 and <= 0xABBF ? PyText.One(c) : PythonCase.Lowered(c, false)));
    }

    public static string SwapCase(string text) => Each(text, points =>
    {
        var lower = Lowering(points);
        return i => IsUpper(points[i]) ? lower(i) : IsLower(points[i]) ? Upper(points[i]) : PyText.One(points[i]);
    });

    // The lower case at each place; a sigma's depends on what surrounds it.
    private static Func<int, string> Lowering(int[] points)
    {
        bool[] ends = PythonCase.WordEnds(points);
        return i => PythonCase.Lowered(points[i], ends.Length > 0 && ends[i]);
    }

    private static string Each(string text, Func<int[], Func<int, string>> map)
    {
        int[] points = [.. PyText.CodePoints(text)];
        return Map(points, map(points));
    }

    private static string Map(int[] points, Func<int, string> map)
    {
        Meter.Current.Step(1 + (points.Length >> 1));
        Meter.Current.Characters(points.Length);
        var mapped = new StringBuilder(points.Length);
        for (int i = 0; i < points.Length; i++) mapped.Append(map(i));
        return mapped.ToString();
    }
}
