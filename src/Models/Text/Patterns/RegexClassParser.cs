// The part of the regular expression syntax that speaks of single characters: escapes, properties and [...] classes.
using PeftAlign.Models.Text.Unicode;

namespace PeftAlign.Models.Text.Patterns;

/// <summary>Parses escapes and bracket classes of a pattern, at a position that the caller keeps.</summary>
internal sealed class RegexClassParser(string source)
{
    private const int MaxDepth = 100;

    // Cc; what prints nothing (Cc, Cs, Cn); Zl and Zp.
    private const uint Control = 1 << 14, Blank = Control | 1 << 16 | 1 << 29, LineSeparators = 0b11 << 12;

    // Outside brackets, Oniguruma's \w also has six numbers of Latin-1.
    private static readonly CharacterSet Word = new(UnicodeData.IsWord), BareWord = new(IsBareWord);
    private static readonly CharacterSet Digit = new(point => UnicodeData.Is(point, UnicodeData.DecimalDigits));
    private static readonly CharacterSet Space = new(UnicodeData.IsWhiteSpace);
    private static readonly CharacterSet Hex = new(point => point < 128 && char.IsAsciiHexDigit((char)point));

    private static readonly string[] PosixNames =
        "alnum alpha ascii blank cntrl digit graph lower print punct space upper word xdigit".Split(' ');

    private static readonly string[] CategoryNames =
        "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Zs Zl Zp Cc Cf Cs Co Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Cn".Split(' ');

    /// <summary>\w outside brackets, which \b goes by too.</summary>
    public static bool IsBareWord(int point) =>
        UnicodeData.IsWord(point) || point is 0xB2 or 0xB3 or 0xB9 or (>= 0xBC and <= 0xBE);

    /// <summary>Parses what follows a backslash at <paramref name="position"/>: a set, or one code point.</summary>
    public (CharacterSet? Set, int Point) ParseEscape(ref int position, bool inBracket)
    {
        if (position + 1 >= source.Length) throw Error(position, "the pattern ends with a backslash");
        var c = source[position + 1];
        position += 2;
        switch (c)
        {
            case 'w': return (inBracket ? Word : BareWord, 0);
            case 'W': return ((inBracket ? Word : BareWord).Not(), 0);
            case 'd': return (Digit, 0);
            case 'D': return (Digit.Not(), 0);
            case 's': return (Space, 0);
            case 'S': return (Space.Not(), 0);
            case 'h': return (Hex, 0);
            case 'H': return (Hex.Not(), 0);
            case 'p': return (ParseProperty(ref position, false), 0);
            case 'P': return (ParseProperty(ref position, true), 0);
            case 't': return (null, '\t');
            case 'n': return (null, '\n');
            case 'r': return (null, '\r');
            case 'f': return (null, '\f');
            case 'v': return (null, '\v');
            case 'a': return (null, '\a');
            case 'e': return (null, 0x1B);
            case '0': return (null, 0);
            case 'b' when inBracket: return (null, '\b');
            case 'x': return (null, ParseHex(ref position, 2));
            case 'u': return (null, ParseHex(ref position, 4));
            case var _ when char.IsAsciiLetterOrDigit(c): throw Error(position - 2, $"\\{c} is not supported");
            default:
                position--;
                return (null, CodePoints.Next(source, ref position));
        }
    }

    /// <summary>Parses a class from its opening bracket.</summary>
    public CharacterSet ParseBracket(ref int position, bool ignoreCase) => ParseBracket(ref position, ignoreCase, 1);

    private CharacterSet ParseBracket(ref int position, bool ignoreCase, int depth)
    {
        if (depth > MaxDepth) throw Error(position, $"classes are nested more than {MaxDepth} deep");
        var opened = position++;
        var negative = Take(ref position, '^');
        CharacterSet? left = null, union = null;
        for (var first = true; ; first = false)
        {
            if (position >= source.Length) throw Error(opened, "a character class '[' is not closed");
            if (source[position] == ']' && !(first && source.IndexOf(']', position + 1) >= 0)) break;
            if (source.AsSpan(position).StartsWith("&&"))
            {
                position += 2;
                left = Both(left, union);
                union = null;
                continue;
            }
            var item = ParseBracketItem(ref position, ignoreCase, depth);
            union = union is null ? item : union.Or(item);
        }
        position++;
        var set = Both(left, union);
        if (ignoreCase) set = set.IgnoringCase();
        return negative ? set.Not() : set;
    }

    private static CharacterSet Both(CharacterSet? left, CharacterSet? right)
    {
        right ??= new CharacterSet(_ => false);
        return left is null ? right : left.And(right);
    }

    private CharacterSet ParseBracketItem(ref int position, bool ignoreCase, int depth)
    {
        if (source[position] == '[')
            return ParsePosix(ref position) ?? ParseBracket(ref position, ignoreCase, depth + 1);
        var (set, first) = ParsePoint(ref position);
        if (set is not null) return set;
        if (position + 1 >= source.Length || source[position] != '-' || source[position + 1] == ']')
            return CharacterSet.Of(first);
        var dash = position++;
        if (source[position] == '[')
        {
            position = dash;
            return CharacterSet.Of(first);
        }
        var (last, end) = ParsePoint(ref position);
        if (last is not null) return CharacterSet.Of(first).Or(CharacterSet.Of('-')).Or(last);
        return end >= first ? CharacterSet.Range(first, end) : throw Error(dash, "a range of a class ends before it starts");
    }

    private (CharacterSet?, int) ParsePoint(ref int position) =>
        source[position] == '\\' ? ParseEscape(ref position, inBracket: true) : (null, CodePoints.Next(source, ref position));

    // [:alpha:] and the like; null where the bracket opens an ordinary nested class.
    private CharacterSet? ParsePosix(ref int position)
    {
        if (!source.AsSpan(position).StartsWith("[:")) return null;
        var end = position + 2;
        for (; end < source.Length && source[end] != ']'; end++)
            if (source.AsSpan(end).StartsWith(":]")) break;
            else if (source[end] == '\\') end++;
        if (end >= source.Length || source[end] == ']') return null;
        var name = source[(position + 2)..end];
        var negative = name.StartsWith('^');
        if (negative) name = name[1..];
        if (!PosixNames.Contains(name)) throw Error(position, $"unknown class [:{name}:]; known are {string.Join(", ", PosixNames)}");
        position = end + 2;
        // Of all of them only this one is not the property of its name.
        var set = name == "punct" ? new CharacterSet(point => UnicodeData.Is(point, UnicodeData.Punctuation | UnicodeData.Symbols)) : Named(name)!;
        return negative ? set.Not() : set;
    }

    private CharacterSet ParseProperty(ref int position, bool negative)
    {
        var start = position;
        string name;
        if (Take(ref position, '{'))
        {
            var end = source.IndexOf('}', position);
            if (end < 0) throw Error(start, "a property without '}'");
            name = source[position..end];
            position = end + 1;
        }
        else
        {
            if (position >= source.Length) throw Error(start, "a property without a name");
            name = source[position++].ToString();
        }
        if (name.StartsWith('^')) (name, negative) = (name[1..], !negative);
        var set = Named(name) ?? throw Error(start, $"unknown character property {{{name}}}");
        return negative ? set.Not() : set;
    }

    private static CharacterSet? Named(string name)
    {
        if (name.IndexOf('=') is var equals and >= 0) name = name[(equals + 1)..];
        var plain = name.Replace("_", "").Replace(" ", "").Replace("-", "").ToLowerInvariant();
        var mask = 0u;
        for (var i = 0; i < CategoryNames.Length; i++)
            if (CategoryNames[i].StartsWith(plain, StringComparison.OrdinalIgnoreCase) && plain.Length <= 2) mask |= 1u << i;
        if (mask != 0) return new CharacterSet(point => UnicodeData.Is(point, mask));
        Func<int, bool>? test = plain switch
        {
            "letter" => p => UnicodeData.Is(p, UnicodeData.Letters),
            "mark" or "combiningmark" => p => UnicodeData.Is(p, UnicodeData.Marks),
            "number" => p => UnicodeData.Is(p, UnicodeData.Numbers),
            "punctuation" or "punct" => p => UnicodeData.Is(p, UnicodeData.Punctuation),
            "symbol" => p => UnicodeData.Is(p, UnicodeData.Symbols),
            "separator" => p => UnicodeData.Is(p, UnicodeData.Separators),
            "alpha" or "alphabetic" => UnicodeData.IsAlphabetic,
            "alnum" => p => UnicodeData.IsAlphabetic(p) || UnicodeData.Is(p, UnicodeData.DecimalDigits),
            "digit" => p => UnicodeData.Is(p, UnicodeData.DecimalDigits),
            "space" or "whitespace" => UnicodeData.IsWhiteSpace,
            "upper" or "uppercase" => UnicodeData.IsUppercase,
            "lower" or "lowercase" => UnicodeData.IsLowercase,
            "uppercaseletter" => p => UnicodeData.Is(p, 1),
            "lowercaseletter" => p => UnicodeData.Is(p, 2),
            "graph" => p => !UnicodeData.Is(p, Blank | UnicodeData.Separators),
            "print" => p => !UnicodeData.Is(p, Blank | LineSeparators),
            "word" => UnicodeData.IsWord,
            "cntrl" => p => UnicodeData.Is(p, Control),
            "blank" => p => p == '\t' || UnicodeData.Is(p, 1 << 11),
            "xdigit" => p => p < 128 && char.IsAsciiHexDigit((char)p),
            "ascii" => p => p < 128,
            "any" => _ => true,
            "extendedpictographic" => UnicodeData.IsPictographic,
            _ => null,
        };
        if (test is not null) return new CharacterSet(test);
        var script = UnicodeData.ScriptIndex(name);
        return script < 0 ? null : new CharacterSet(point => UnicodeData.ScriptOf(point) == script);
    }

    private int ParseHex(ref int position, int digits)
    {
        var start = position;
        var braces = Take(ref position, '{');
        var limit = braces ? 8 : digits;
        var (value, count) = (0L, 0);
        while (position < source.Length && count < limit && char.IsAsciiHexDigit(source[position]))
        {
            value = value * 16 + Convert.ToInt32(source[position++].ToString(), 16);
            count++;
        }
        if (count == 0 || value > 0x10FFFF || (braces && !Take(ref position, '}')))
            throw Error(start, "a character code is not valid");
        return (int)value;
    }

    private bool Take(ref int position, char c)
    {
        if (position >= source.Length || source[position] != c) return false;
        position++;
        return true;
    }

    private static FormatException Error(int position, string reason) => new($"{reason} (at character {position + 1})");
}
