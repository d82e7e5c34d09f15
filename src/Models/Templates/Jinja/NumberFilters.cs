// Filters from and to numbers: int, float, round, filesizeformat.
using System.Globalization;
using System.Numerics;

namespace PeftAlign.Models.Templates.Jinja;

internal static class NumberFilters
{
    /// <summary>The operand of a numeric filter.</summary>
    public static object Number(object? value) => PyNumber.IsNumber(value)
        ? value is bool ? PyNumber.Normal(PyNumber.Big(value)) : value!
        : throw Fault.Type($"bad operand type for abs(): '{Py.TypeName(value)}'");

    public static object? ToInteger(Arguments a)
    {
        if (a.Self is Undefined undefined) throw undefined.Fault();
        if (Py.Unwrap(a.Self) is string text)
            return ParseInteger(text, a.Int(1, 10))
                ?? (ParseFloat(text) is double d && double.IsFinite(d) ? PyNumber.Truncate(d) : a.Or(0, 0L));
        if (a.Self is double f) return double.IsFinite(f) ? PyNumber.Truncate(f) : a.Or(0, 0L);
        return PyNumber.IsInteger(a.Self) ? PyNumber.Normal(PyNumber.Big(a.Self)) : a.Or(0, 0L);
    }

    public static object? ToFloat(Arguments a)
    {
        if (a.Self is Undefined undefined) throw undefined.Fault();
        if (Py.Unwrap(a.Self) is string text) return ParseFloat(text) ?? a.Or(0, 0.0);
        return PyNumber.IsNumber(a.Self) ? PyNumber.Float(a.Self) : a.Or(0, 0.0);
    }

    /// <summary>int(text, radix) of Python; null where it raises.</summary>
    private static object? ParseInteger(string text, int radix)
    {
        if (radix is not (0 or >= 2 and <= 36)) return null;
        string digits = PyText.Trim(text);
        bool negative = digits.StartsWith('-');
        if (digits.Length > 0 && digits[0] is '-' or '+') digits = digits[1..];
        int named = digits.Length > 1 && digits[0] == '0'
            ? char.ToLowerInvariant(digits[1]) switch { 'x' => 16, 'o' => 8, 'b' => 2, _ => 0 } : 0;
        bool prefixed = named > 0 && (radix == named || radix == 0);
        if (prefixed) digits = digits[2..].TrimStart('_');
        else if (radix == 0 && digits.Length > 1 && digits[0] == '0' && digits.Any(c => c is not ('0' or '_'))) return null;
        if (radix == 0) radix = prefixed ? named : 10;
        if (digits.Length is 0 or > PyNumber.MaxDigits || !Underscores(digits)) return null;
        BigInteger value = 0;
        Meter.Current.Step(digits.Length);
        foreach (char c in digits.Where(c => c != '_'))
        {
            int digit = char.IsAsciiLetter(c) ? char.ToLowerInvariant(c) - 'a' + 10
                : CharUnicodeInfo.GetDecimalDigitValue(c) is int d and >= 0 ? d : 99;
            if (digit >= radix) return null;
            value = (value * radix) + digit;
        }

        return PyNumber.Normal(negative ? -value : value);
    }

    /// <summary>float(text) of Python; null where it raises.</summary>
    private static double? ParseFloat(string text)
    {
        string trimmed = PyText.Trim(text).ToLowerInvariant();
        string size = trimmed.TrimStart('+', '-');
        if (trimmed.Length - size.Length > 1) return null;
        double sign = trimmed.StartsWith('-') ? -1 : 1;
        if (size is "inf" or "infinity") return sign * double.PositiveInfinity;
        if (size == "nan") return double.NaN;
        if (size.Length == 0 || !Underscores(size) || !size.Any(char.IsAsciiDigit)
            || !(char.IsAsciiDigit(size[0]) || size[0] == '.')) return null;
        const NumberStyles style = NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent;
        return double.TryParse(size.Replace("_", ""), style, CultureInfo.InvariantCulture, out double value)
            ? sign * value
            : null;
    }

    private static bool Underscores(string digits)
    {
        for (int i = 0; i < digits.Length; i++)
            if (digits[i] == '_' && !(i > 0 && i + 1 < digits.Length && char.IsAsciiLetterOrDigit(digits[i - 1])
                && char.IsAsciiLetterOrDigit(digits[i + 1]))) return false;
        return true;
    }

    public static object Round(Arguments a)
    {
        string method = a.Text(1) ?? "common";
        if (method is not ("common" or "ceil" or "floor")) throw Fault.Type("method must be common, ceil or floor");
        object value = PyNumber.IsNumber(a.Self) ? a.Self!
            : throw Fault.Type($"type {Py.TypeName(a.Self)} doesn't define __round__ method");
        int precision = a.Int(0, 0);
        if (method == "common") return PyNumber.Round(value, precision);
        object scale = PyNumber.Compute("**", 10L, (long)precision);
        object scaled = PyNumber.Compute("*", value, scale);
        object whole = scaled is double d ? PyNumber.Truncate(method == "ceil" ? Math.Ceiling(d) : Math.Floor(d)) : scaled;
        return PyNumber.Compute("/", whole, scale);
    }

    public static string FileSize(Arguments a)
    {
        double bytes = ToFloat(a with { Values = [null] }) as double?
            ?? throw Fault.Value($"could not convert {PyRepr.Of(a.Self)} to a number of bytes");
        bool binary = a.Truth(0);
        double unit = binary ? 1024 : 1000;
        if (bytes == 1) return "1 Byte";
        if (bytes < unit) return $"{PyRepr.Of(PyNumber.Truncate(bytes))} Bytes";
        string[] prefixes = ["k", "M", "G", "T", "P", "E", "Z", "Y"];
        int power = 0;
        double scale = unit * unit;
        for (; power < prefixes.Length - 1 && bytes >= scale; power++) scale *= unit;
        string prefix = binary ? prefixes[power].ToUpperInvariant() + "i" : prefixes[power];
        return $"{PyNumber.Fixed(unit * bytes / scale, 1)} {prefix}B";
    }
}
