// Python's repr of values: quotes chosen as Python does, shortest float digits that read back the same, containers
// with their elements' repr. Within a container every value prints so; on its own a template prints str.
using System.Globalization;
using System.Numerics;
using System.Text;

namespace PeftAlign.Models.Templates.Jinja;

internal static class PyRepr
{
    public static string Of(object? value)
    {
        var text = new StringBuilder();
        Append(text, value, 0, Meter.Current);
        return text.ToString();
    }

    /// <summary>repr of a string.</summary>
    public static string Text(string value)
    {
        var text = new StringBuilder(value.Length + 2);
        AppendText(text, value);
        return text.ToString();
    }

    // The meter is handed on: to look it up for each of millions of values would take longer than to print them.
    private static void Append(StringBuilder text, object? value, int depth, Meter meter)
    {
        Meter.Nest(depth);
        meter.Step();
        int before = text.Length;
        switch (value)
        {
            case null: text.Append("None"); break;
            case bool b: text.Append(b ? "True" : "False"); break;
            case long n and >= 0 and <= 9: text.Append((char)('0' + n)); break;
            case long n: text.Append(CultureInfo.InvariantCulture, $"{n}"); break;
            case BigInteger n: text.Append(PyFormat.Digits(n)); break;
            case double d: text.Append(Float(d)); break;
            case string s: AppendText(text, s); break;
            case SafeText s: text.Append("Markup(").Append(Text(s.Text)).Append(')'); break;
            case PyList list: AppendItems(text, "[", list.Items, "]", depth, meter); return;
            case PyTuple tuple: AppendItems(text, "(", tuple.Items, tuple.Items.Count == 1 ? ",)" : ")", depth, meter); return;
            case PyDict dict: AppendPairs(text, dict.Pairs, depth, meter); return;
            case DictView view: AppendItems(text, $"dict_{view.Kind}([", [.. view.Items], "])", depth, meter); return;
            case PyRange range: text.Append(Range(range)); break;
            case Undefined: text.Append("Undefined"); break;
            case Namespace space:
                text.Append("<Namespace ");
                AppendPairs(text, space.Members.Select(m => new KeyValuePair<object?, object?>(m.Key, m.Value)), depth, meter);
                text.Append('>');
                return;
            case PyIterator iterator: text.Append($"<{iterator.Description}>"); break;
            default: text.Append(value); break;
        }

        meter.Characters(text.Length - before);
    }

    private static void AppendItems(StringBuilder text, string open, IReadOnlyList<object?> items, string close, int depth, Meter meter)
    {
        text.Append(open);
        for (int i = 0; i < items.Count; i++)
        {
            if (i > 0) text.Append(", ");
            Append(text, items[i], depth + 1, meter);
        }

        text.Append(close);
    }

    private static void AppendPairs(StringBuilder text, IEnumerable<KeyValuePair<object?, object?>> pairs, int depth, Meter meter)
    {
        text.Append('{');
        bool first = true;
        foreach ((object? key, object? value) in pairs)
        {
            if (!first) text.Append(", ");
            first = false;
            Append(text, key, depth + 1, meter);
            text.Append(": ");
            Append(text, value, depth + 1, meter);
        }

        text.Append('}');
    }

    private static void AppendText(StringBuilder text, string value)
    {
        char quote = value.Contains('\'') && !value.Contains('"') ? '"' : '\'';
        text.Append(quote);
        for (int i = 0; i < value.Length; i += PyText.Width(value, i))
        {
            char c = value[i];
            if (c == quote || c == '\\') text.Append('\\').Append(c);
            else if (c is >= ' ' and < '\x7f') text.Append(c);
            else if ("\t\n\r".IndexOf(c) is int known && known >= 0) text.Append('\\').Append("tnr"[known]);
            else AppendBeyondAscii(text, value, i);
        }

        text.Append(quote);
    }

    private static void AppendBeyondAscii(StringBuilder text, string value, int i)
    {
        int code = PyText.CodePointAt(value, i);
        if (PyChars.IsPrintable(code)) text.Append(value, i, PyText.Width(value, i));
        else if (code <= 0xFF) text.Append(CultureInfo.InvariantCulture, $"\\x{code:x2}");
        else if (code <= 0xFFFF) text.Append(CultureInfo.InvariantCulture, $"\\u{code:x4}");
        else text.Append(CultureInfo.InvariantCulture, $"\\U{code:x8}");
    }

    private static string Range(PyRange range) => range.Step == 1
        ? string.Create(CultureInfo.InvariantCulture, $"range({range.Start}, {range.Stop})")
        : string.Create(CultureInfo.InvariantCulture, $"range({range.Start}, {range.Stop}, {range.Step})");

    /// <summary>repr of a float: 1.0, 1e+16, 1e-05, inf, nan.</summary>
    public static string Float(double value)
    {
        if (double.IsNaN(value)) return "nan";
        if (double.IsInfinity(value)) return value > 0 ? "inf" : "-inf";
        (string digits, int exponent) = ShortestDigits(value);
        string sign = double.IsNegative(value) ? "-" : "";
        return sign + Place(digits, exponent, exponent is >= -4 and < 16, alwaysPoint: true);
    }

    /// <summary>The shortest digits that read back as |value|, and the decimal exponent of the first.</summary>
    private static (string Digits, int Exponent) ShortestDigits(double value)
    {
        string shortest = Math.Abs(value).ToString("R", CultureInfo.InvariantCulture);
        int e = shortest.IndexOf('E');
        string mantissa = e < 0 ? shortest : shortest[..e];
        string digits = mantissa.Replace(".", "").TrimStart('0').TrimEnd('0');
        if (digits.Length == 0) return ("0", 0);
        int exponent = e >= 0 ? int.Parse(shortest.AsSpan(e + 1), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture)
            : 0;
        int point = mantissa.IndexOf('.') is int p && p >= 0 ? p : mantissa.Length;
        int first = mantissa.Replace(".", "").TakeWhile(c => c == '0').Count();
        return (digits, exponent + point - first - 1);
    }

    /// <summary>Writes digits as a decimal number or with an exponent of at least two digits.</summary>
    public static string Place(string digits, int exponent, bool plain, bool alwaysPoint)
    {
        if (!plain)
        {
            string mantissa = digits.Length > 1 ? $"{digits[0]}.{digits[1..]}" : digits;
            return mantissa + (exponent < 0 ? "e-" : "e+") + Math.Abs(exponent).ToString("00", CultureInfo.InvariantCulture);
        }

        if (exponent < 0) return "0." + new string('0', -exponent - 1) + digits;
        if (digits.Length <= exponent + 1) return digits.PadRight(exponent + 1, '0') + (alwaysPoint ? ".0" : "");
        return digits.Insert(exponent + 1, ".");
    }
}
