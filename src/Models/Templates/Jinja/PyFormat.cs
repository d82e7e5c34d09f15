// Python's two ways of formatting: "%s" % values and "{}".format(values). Widths and precisions are charged to the
// meter before anything is made; attributes in replacement fields go through the sandbox.
using System.Globalization;
using System.Numerics;
using System.Text;

namespace PeftAlign.Models.Templates.Jinja;

internal static class PyFormat
{
    public static string Digits(BigInteger value)
    {
        Meter.Current.Step(1 + (int)(value.GetBitLength() >> 5));
        return value.ToString(CultureInfo.InvariantCulture);
    }

    /// <summary>format % arguments.</summary>
    public static string Percent(string format, object? arguments)
    {
        var values = new PercentValues(arguments);
        var text = new StringBuilder();
        for (int i = 0; i < format.Length; i++)
        {
            if (format[i] != '%') text.Append(format[i]);
            else text.Append(PercentField(format, ref i, values));
        }

        values.CheckAllUsed();
        Meter.Current.Characters(text.Length);
        return text.ToString();
    }

    private static string PercentField(string format, ref int i, PercentValues values)
    {
        i++;
        if (i < format.Length && format[i] == '(')
        {
            int close = format.IndexOf(')', i);
            if (close < 0) throw Fault.Value("incomplete format key");
            values.Choose(format[(i + 1)..close]);
            i = close + 1;
        }

        int flagStart = i;
        while (i < format.Length && "-+ #0".Contains(format[i])) i++;
        string flags = format[flagStart..i];
        int width = Number(format, ref i, values) ?? 0;
        int? precision = null;
        if (i < format.Length && format[i] == '.')
        {
            i++;
            precision = Number(format, ref i, values) ?? 0;
        }

        while (i < format.Length && format[i] is 'h' or 'l' or 'L') i++;
        if (i >= format.Length) throw Fault.Value("incomplete format");
        if (format[i] == '%') return "%";
        bool left = flags.Contains('-') || width < 0;
        var spec = new FormatSpec
        {
            Fill = flags.Contains('0') && !left && format[i] is not ('s' or 'r' or 'a' or 'c') ? "0" : " ",
            Align = left ? '<' : flags.Contains('0') && format[i] is not ('s' or 'r' or 'a' or 'c') ? '=' : '>',
            Sign = flags.Contains('+') ? '+' : flags.Contains(' ') ? ' ' : '-',
            Alternate = flags.Contains('#'),
            Width = Math.Abs(width),
            Precision = precision,
        };
        return PercentValue(format[i], i, values.Next(), spec);
    }

    private static string PercentValue(char type, int index, object? value, FormatSpec spec)
    {
        switch (type)
        {
            case 's': return (spec with { Type = 's' }).Format(Py.Str(value));
            case 'r' or 'a': return (spec with { Type = 's' }).Format(PyRepr.Of(value));
            case 'c':
                return (spec with { Type = 's', Precision = null }).Format(value is string one && PyText.Length(one) == 1 ? one
                    : PyNumber.IsInteger(value) ? Character(value) : throw Fault.Type("%c requires int or char"));
            case 'd' or 'i' or 'u':
                if (!PyNumber.IsNumber(value))
                    throw Fault.Type($"%{type} format: a real number is required, not {Py.TypeName(value)}");
                return spec.PercentInteger('d', value is double d ? PyNumber.Truncate(d) : value!);
            case 'x' or 'X' or 'o':
                if (!PyNumber.IsInteger(value))
                    throw Fault.Type($"%{type} format: an integer is required, not {Py.TypeName(value)}");
                return spec.PercentInteger(type, value!);
            case 'e' or 'E' or 'f' or 'F' or 'g' or 'G':
                return (spec with { Type = type, Precision = spec.Precision ?? 6 }).Format(PyNumber.Float(value));
            default:
                throw Fault.Value($"unsupported format character '{type}' (0x{(int)type:x}) at index {index}");
        }
    }

    public static string Character(object? value) =>
        PyNumber.Index(value) is int code and >= 0 and <= 0x10FFFF and not (>= 0xD800 and <= 0xDFFF)
        ? char.ConvertFromUtf32(code)
        : throw Fault.Value("%c arg not in range(0x110000)");

    private static int? Number(string format, ref int i, PercentValues values)
    {
        if (i < format.Length && format[i] == '*')
        {
            i++;
            return PyNumber.Index(values.Next());
        }

        int start = i;
        while (i < format.Length && char.IsAsciiDigit(format[i])) i++;
        return i == start ? null : FormatSpec.Count(format.AsSpan(start, i - start));
    }

    /// <summary>format.format(*positional, **named).</summary>
    public static string Braces(string format, IReadOnlyList<object?> positional, PyDict named)
    {
        int automatic = 0;
        return Braces(format, positional, named, ref automatic, 2);
    }

    private static string Braces(
        string format, IReadOnlyList<object?> positional, PyDict named, ref int automatic, int depth)
    {
        if (depth < 0) throw Fault.Value("Max string recursion exceeded");
        var text = new StringBuilder();
        for (int i = 0; i < format.Length; i++)
        {
            char c = format[i];
            if (c is not ('{' or '}'))
            {
                text.Append(c);
            }
            else if (i + 1 < format.Length && format[i + 1] == c)
            {
                text.Append(c);
                i++;
            }
            else if (c == '}')
            {
                throw Fault.Value("Single '}' encountered in format string");
            }
            else
            {
                int end = FieldEnd(format, i + 1);
                text.Append(Field(format[(i + 1)..end], positional, named, ref automatic, depth));
                i = end;
            }
        }

        Meter.Current.Characters(text.Length);
        return text.ToString();
    }

    private static int FieldEnd(string format, int from)
    {
        int open = 1;
        for (int i = from; i < format.Length; i++)
        {
            if (format[i] == '{') open++;
            else if (format[i] == '}' && --open == 0) return i;
        }

        throw Fault.Value(
            from >= format.Length ? "Single '{' encountered in format string" : "expected '}' before end of string");
    }

    private static string Field(
        string field, IReadOnlyList<object?> positional, PyDict named, ref int automatic, int depth)
    {
        int bracket = field.IndexOf('[');
        int end = field.AsSpan().IndexOfAny('!', ':');
        if (bracket >= 0 && bracket < end) end = field.IndexOf(']', bracket) is int close && close >= 0
            ? IndexAfter(field, close) : field.Length;
        if (end < 0) end = field.Length;
        object? value = Lookup(field[..end], positional, named, ref automatic);
        if (end < field.Length && field[end] == '!')
        {
            if (end + 1 >= field.Length) throw Fault.Value("end of string while looking for conversion specifier");
            value = field[end + 1] switch
            {
                'r' or 'a' => PyRepr.Of(value),
                's' => Py.Str(value),
                char other => throw Fault.Value($"Unknown conversion specifier {other}"),
            };
            end += 2;
            if (end < field.Length && field[end] != ':') throw Fault.Value("expected ':' after conversion specifier");
        }

        string spec = end < field.Length ? Braces(field[(end + 1)..], positional, named, ref automatic, depth - 1) : "";
        return FormatSpec.Parse(spec, value).Format(value);
    }

    private static int IndexAfter(string field, int from)
    {
        int at = field.AsSpan(from).IndexOfAny('!', ':');
        return at < 0 ? field.Length : from + at;
    }

    /// <summary>name.attribute[item]: the first part from the arguments, the rest through the sandbox.</summary>
    private static object? Lookup(string path, IReadOnlyList<object?> positional, PyDict named, ref int automatic)
    {
        int end = path.AsSpan().IndexOfAny('.', '[');
        string first = end < 0 ? path : path[..end];
        object? value;
        if (first.Length == 0 || first.All(char.IsAsciiDigit))
        {
            if (first.Length == 0 ? automatic < 0 : automatic > 0)
                throw Fault.Value("cannot switch between manual field specification and automatic field numbering");
            int index = first.Length == 0 ? automatic++ : FormatSpec.Count(first);
            if (first.Length > 0) automatic = -1;
            if (index >= positional.Count) throw Fault.Value($"Replacement index {index} out of range for positional args tuple");
            value = positional[index];
        }
        else if (!named.TryGet(first, out value))
        {
            throw Fault.Value($"key {PyRepr.Text(first)} is not among the arguments of format");
        }

        for (int i = first.Length; i < path.Length;)
        {
            bool item = path[i] == '[';
            int close = item ? path.IndexOf(']', i) : path.AsSpan(i + 1).IndexOfAny('.', '[') is int n && n >= 0 ? i + 1 + n
                : path.Length;
            if (close < 0 || close == i + 1) throw Fault.Value("Empty attribute in format string");
            string name = path[(i + 1)..close];
            value = item
                ? Members.Item(value, name.All(char.IsAsciiDigit) ? (long)FormatSpec.Count(name) : name)
                : Members.Attribute(value, name);
            i = item ? close + 1 : close;
        }

        return value;
    }

    /// <summary>The values that a percent format consumes: a tuple's in order, a mapping's by key, or a single one.</summary>
    private sealed class PercentValues(object? arguments)
    {
        private readonly IReadOnlyList<object?> values = arguments is PyTuple tuple ? tuple.Items : [arguments];
        private int next;
        private bool keyed;
        private object? chosen;
        private bool hasChosen;

        public void Choose(string key)
        {
            if (arguments is not PyDict dict) throw Fault.Type("format requires a mapping");
            if (!dict.TryGet(key, out chosen)) throw Fault.Value($"key {PyRepr.Text(key)} is not in the mapping");
            (keyed, hasChosen) = (true, true);
        }

        public object? Next()
        {
            if (hasChosen)
            {
                hasChosen = false;
                return chosen;
            }

            return next < values.Count ? values[next++] : throw Fault.Type("not enough arguments for format string");
        }

        public void CheckAllUsed()
        {
            if (next < values.Count && !keyed && arguments is not (PyDict or PyList))
                throw Fault.Type("not all arguments converted during string formatting");
        }
    }
}
