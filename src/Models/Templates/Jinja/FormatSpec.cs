// Python's format specification mini-language: [[fill]align][sign][#][0][width][,|_][.precision][type].
using System.Globalization;
using System.Numerics;

namespace PeftAlign.Models.Templates.Jinja;

internal sealed record FormatSpec
{
    public string Fill { get; init; } = " ";

    public char Align { get; init; }

    public char Sign { get; init; } = '-';

    public bool Alternate { get; init; }

    public int Width { get; init; }

    public char Grouping { get; init; }

    public int? Precision { get; init; }

    public char Type { get; init; }

    /// <summary>A width, precision or index in a format string.</summary>
    public static int Count(ReadOnlySpan<char> digits) =>
        int.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out int count)
        ? count
        : throw Fault.Value("Too many decimal digits in format string");

    public static FormatSpec Parse(string text, object? value)
    {
        var spec = new FormatSpec();
        int i = 0;
        int fill = text.Length > 0 ? PyText.Width(text, 0) : 0;
        if (fill > 0 && fill < text.Length && text[fill] is '<' or '>' or '=' or '^')
        {
            spec = spec with { Fill = text[..fill], Align = text[fill] };
            i = fill + 1;
        }
        else if (text.Length > 0 && text[0] is '<' or '>' or '=' or '^')
        {
            spec = spec with { Align = text[i++] };
        }

        if (At(i) is '+' or '-' or ' ') spec = spec with { Sign = text[i++] };
        if (At(i) == '#') spec = spec with { Alternate = text[i++] == '#' };
        if (At(i) == '0')
        {
            i++;
            spec = spec with
            {
                Fill = spec.Fill == " " ? "0" : spec.Fill,
                Align = spec.Align == '\0' ? '=' : spec.Align,
            };
        }

        spec = spec with { Width = Digits() ?? 0 };
        if (At(i) is ',' or '_') spec = spec with { Grouping = text[i++] };
        if (At(i) == '.')
        {
            i++;
            spec = spec with { Precision = Digits() ?? throw Fault.Value("Format specifier missing precision") };
        }

        if (i < text.Length) spec = spec with { Type = text[i++] };
        if (i < text.Length) throw Fault.Value($"Invalid format specifier '{text}' for object of type '{Py.TypeName(value)}'");
        return spec;

        char At(int at) => at < text.Length ? text[at] : '\0';

        int? Digits()
        {
            int start = i;
            while (char.IsAsciiDigit(At(i))) i++;
            return i == start ? null : Count(text.AsSpan(start, i - start));
        }
    }

    public string Format(object? value)
    {
        if (Width > 1 << 20 || Precision > 1 << 20)
            throw new Fault(Abstractions.ChatTemplateErrorKind.Limit, $"a width of more than {1 << 20} in a format");
        Meter.Current.Characters(Width + (long)(Precision ?? 0));
        return value switch
        {
            string or SafeText => Text(Py.Str(value)),
            bool b when Type == '\0' => Text(b ? "True" : "False"),
            _ when PyNumber.IsInteger(value) => Integer(value!),
            double d => Float(d),
            _ when this == new FormatSpec() => Py.Str(value),
            _ => throw Fault.Type($"unsupported format string passed to {Py.TypeName(value)}.__format__"),
        };
    }

    private string Text(string text)
    {
        if (Type is not ('\0' or 's')) throw UnknownType("str");
        if (Align == '=' && Fill != "0") throw Fault.Value("'=' alignment not allowed in string format specifier");
        if (Precision is int most && PyText.Length(text) > most) text = text[..PyText.Position(text, most)];
        return Pad("", text, Align is '\0' or '=' ? '<' : Align);
    }

    private string Integer(object value)
    {
        if (Type is 'e' or 'E' or 'f' or 'F' or 'g' or 'G' or '%') return Float(PyNumber.Float(value));
        if (Type == 'c') return Pad("", PyFormat.Character(value), Align == '\0' ? '<' : Align);
        if (Precision is not null) throw Fault.Value("Precision not allowed in integer format specifier");
        BigInteger number = PyNumber.Big(value);
        BigInteger size = BigInteger.Abs(number);
        (string digits, string prefix, int group) = Type switch
        {
            '\0' or 'd' or 'n' => (PyFormat.Digits(size), "", 3),
            'x' => (Radix(size, 16), "0x", 4),
            'X' => (Radix(size, 16).ToUpperInvariant(), "0X", 4),
            'o' => (Radix(size, 8), "0o", 4),
            'b' => (Radix(size, 2), "0b", 4),
            _ => throw UnknownType("int"),
        };
        string sign = SignOf(number.Sign < 0) + (Alternate ? prefix : "");
        return Pad(sign, Grouped(sign, digits, "", group), Align == '\0' ? '>' : Align);
    }

    /// <summary>%d, %x, %o of printf: the precision is a least number of digits.</summary>
    public string PercentInteger(char type, object value)
    {
        Meter.Current.Characters(Width + (long)(Precision ?? 0));
        BigInteger number = PyNumber.Big(value);
        BigInteger size = BigInteger.Abs(number);
        string digits = type == 'd' ? PyFormat.Digits(size) : Radix(size, type == 'o' ? 8 : 16);
        if (type == 'X') digits = digits.ToUpperInvariant();
        digits = digits.PadLeft(Precision ?? 0, '0');
        string prefix = Alternate && type != 'd' ? "0" + type : "";
        return Pad(SignOf(number.Sign < 0) + prefix, digits, Align);
    }

    private static string Radix(BigInteger size, int radix)
    {
        if (size.IsZero) return "0";
        var digits = new System.Text.StringBuilder();
        for (; !size.IsZero; size /= radix) digits.Insert(0, "0123456789abcdef"[(int)(size % radix)]);
        return digits.ToString();
    }

    private string SignOf(bool negative) => negative ? "-" : Sign == '-' ? "" : Sign.ToString();

    private string Float(double value)
    {
        string sign = SignOf(double.IsNegative(value) && !double.IsNaN(value));
        double size = Math.Abs(value);
        string digits;
        if (!double.IsFinite(value))
        {
            digits = double.IsNaN(value) ? "nan" : "inf";
            if (Type == '%') digits += "%";
            return Pad(sign, char.IsUpper(Type) ? digits.ToUpperInvariant() : digits, Align == '\0' ? '>' : Align);
        }

        int precision = Precision ?? 6;
        digits = Type switch
        {
            'f' or 'F' => PyNumber.Fixed(size, precision),
            '%' => PyNumber.Fixed(size * 100, precision) + "%",
            'e' or 'E' => Scientific(size, precision),
            'g' or 'G' or 'n' => General(size, precision, 0),
            '\0' when Precision is null => PyRepr.Float(size),
            '\0' => General(size, precision, 1),
            _ => throw UnknownType("float"),
        };
        if (Alternate && !digits.Contains('.')) digits = digits.Contains('e') ? digits.Replace("e", ".e") : digits + ".";
        int point = digits.AsSpan().IndexOfAny('.', 'e', '%');
        string fraction = point < 0 ? "" : digits[point..];
        string body = Grouped(sign, point < 0 ? digits : digits[..point], fraction, 3);
        return Pad(sign, Type is 'E' or 'G' ? body.ToUpperInvariant() : body, Align == '\0' ? '>' : Align);
    }

    /// <summary>Digits of size rounded to a number of significant ones, and the exponent of the first.</summary>
    private static (string Digits, int Exponent) Significant(double size, int count)
    {
        if (size == 0) return (new string('0', count), 0);
        int exponent = (int)Math.Floor(Math.Log10(size));
        for (exponent++; ; exponent--)
        {
            int places = count - 1 - exponent;
            BigInteger scaled = places >= 0
                ? BigInteger.Parse(PyNumber.Fixed(size, places).Replace(".", ""), CultureInfo.InvariantCulture)
                : PyNumber.Big(PyNumber.Truncate((double)PyNumber.Round(size, places))) / BigInteger.Pow(10, -places);
            string digits = scaled.ToString(CultureInfo.InvariantCulture);
            if (digits.Length > count) return (digits[..count], exponent + 1);
            if (digits.Length == count) return (digits, exponent);
        }
    }

    private static string Scientific(double size, int precision)
    {
        (string digits, int exponent) = Significant(size, precision + 1);
        return PyRepr.Place(digits, exponent, plain: false, alwaysPoint: false);
    }

    /// <summary>%g: an exponent where the number is small or has more digits before the point than the precision.</summary>
    private string General(double size, int precision, int atLeastOneDecimal)
    {
        precision = Math.Max(1, precision);
        (string digits, int exponent) = Significant(size, precision);
        if (!Alternate) digits = digits.TrimEnd('0') is { Length: > 0 } kept ? kept : "0";
        bool plain = exponent >= -4 && exponent < precision - (atLeastOneDecimal > 0 ? 1 : 0);
        return PyRepr.Place(digits, exponent, plain, alwaysPoint: atLeastOneDecimal > 0);
    }

    private string Grouped(string sign, string whole, string rest, int group)
    {
        if (Grouping == '\0') return whole + rest;
        if (Fill == "0" && Align == '=')
        {
            int room = Width - sign.Length - rest.Length;
            while (whole.Length + ((whole.Length - 1) / group) < room) whole = "0" + whole;
        }

        for (int i = whole.Length - group; i > 0; i -= group) whole = whole.Insert(i, Grouping.ToString());
        return whole + rest;
    }

    private string Pad(string sign, string body, char align)
    {
        int room = Width - PyText.Length(sign) - PyText.Length(body);
        if (room <= 0) return sign + body;
        int left = align switch { '<' => 0, '^' => room / 2, _ => room };
        string before = Repeat(left), after = Repeat(room - left);
        return align == '=' ? sign + before + body : before + sign + body + after;
    }

    private string Repeat(int count) => Fill.Length == 1 ? new string(Fill[0], count)
        : string.Concat(Enumerable.Repeat(Fill, count));

    private Fault UnknownType(string type) => Fault.Value($"Unknown format code '{Type}' for object of type '{type}'");
}
