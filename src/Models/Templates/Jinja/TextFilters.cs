// Filters that make text.
using System.Text;

namespace PeftAlign.Models.Templates.Jinja;

internal static class TextFilters
{
    /// <summary>Applies a change to the text of any value; safe text stays safe.</summary>
    public static object Keep(object? value, Func<string, string> change)
    {
        string text = Py.Str(value);
        PyText.Scan(text);
        string changed = change(text);
        Meter.Current.Characters(changed.Length);
        return value is SafeText ? new SafeText(changed) : changed;
    }

    /// <summary>The filter title: words begin after white space, hyphens and opening brackets, not after apostrophes.</summary>
    public static string Title(string text)
    {
        var result = new StringBuilder(text.Length);
        for (int i = 0; i < text.Length;)
        {
            int start = i;
            while (i < text.Length && Separates(text[i])) i++;
            result.Append(text, start, i - start);
            start = i;
            while (i < text.Length && !Separates(text[i])) i++;
            if (i == start) break;
            int head = PyText.Width(text, start);
            result.Append(PyChars.Upper(text.Substring(start, head))).Append(PyChars.Lower(text[(start + head)..i]));
        }

        return result.ToString();

        static bool Separates(char c) => c is '-' or '(' or '{' or '[' or '<' || PyText.IsSpace(c);
    }

    public static object Center(Arguments a) => Keep(
        a.Self, s => StringMethods.Pad(s, a.Int(0, 80), " ", (room, width) => (room / 2) + (room & width & 1)));

    public static object Format(Arguments a)
    {
        if (a.Rest.Length > 0 && a.Named.Count > 0)
            throw Fault.Type("can't handle positional and keyword arguments at the same time");
        return PyOperators.Arithmetic(
            "%", a.Self as SafeText ?? (object)Py.Str(a.Self), a.Named.Count > 0 ? a.Named : new PyTuple(a.Rest))!;
    }

    public static object Replace(Arguments a) =>
        StringMethods.Replace(Py.Str(a.Self), Py.Str(a[0]), Py.Str(a[1]), a[2] is null ? -1 : a.Int(2, -1));

    public static object Indent(Arguments a) => Keep(a.Self, text =>
    {
        string indent = a.Has(0) && a[0] is string s ? s : Spaces(a.Int(0, 4));
        var result = new StringBuilder();
        string[] lines = Lines(text + "\n");
        for (int i = 0; i < lines.Length; i++)
        {
            if (i > 0) result.Append('\n');
            bool indented = i > 0 ? a.Truth(2) || lines[i].Length > 0 : a.Truth(1);
            if (indented) Meter.Current.Characters(indent.Length);
            result.Append(indented ? indent : "").Append(lines[i]);
        }

        return result.ToString();
    });

    private static string Spaces(int count)
    {
        Meter.Current.Characters(Math.Max(0, count));
        return new string(' ', Math.Max(0, count));
    }

    /// <summary>splitlines of Python.</summary>
    public static string[] Lines(string text)
    {
        var lines = (PyList)StringMethods.Table["splitlines"].Invoke(null!, text, GivenArguments.None)!;
        return [.. lines.Items.Cast<string>()];
    }

    public static object Truncate(Arguments a) => Keep(a.Self, text =>
    {
        (int length, string end, int leeway) = (a.Int(0, 255), a.Text(2) ?? "...", a[3] is null ? 5 : a.Int(3, 5));
        int room = length - PyText.Length(end);
        if (room < 0) throw Fault.Value($"expected length >= {PyText.Length(end)}, got {length}");
        if (leeway < 0) throw Fault.Value($"expected leeway >= 0, got {leeway}");
        if (PyText.Length(text) <= (long)length + leeway) return text;
        string head = text[..PyText.Position(text, room)];
        int space = a.Truth(1) ? -1 : head.LastIndexOf(' ');
        return (space >= 0 ? head[..space] : head) + end;
    });

    public static long WordCount(string text)
    {
        PyText.Scan(text);
        long count = 0;
        bool inside = false;
        foreach (int code in PyText.CodePoints(text))
        {
            bool word = code == '_' || PyChars.IsAlpha(code) || PyChars.IsDecimal(code) || PyChars.IsNumeric(code);
            if (word && !inside) count++;
            inside = word;
        }

        return count;
    }

    public static object ToJson(Arguments a)
    {
        string? indent = Indentation(a, 1);
        (string item, string key) = (indent is null ? ", " : ",", ": ");
        if (a[2] is not null)
        {
            List<object?> pair = Py.ToList(a[2]);
            if (pair.Count != 2 || pair[0] is not string first || pair[1] is not string second)
                throw Fault.Value("separators must be two strings");
            (item, key) = (first, second);
        }

        return new PyJson.Writer(a.Truth(0), indent, item, key, a.Truth(3)).Write(a.Self);
    }

    /// <summary>Jinja's own: for HTML, with keys in order.</summary>
    public static object ToHtmlJson(Arguments a)
    {
        string? indent = Indentation(a, 0);
        string text = new PyJson.Writer(ensureAscii: true, indent, indent is null ? ", " : ",", ": ", sortKeys: true).Write(a.Self);
        Meter.Current.Characters(text.Length);
        return new SafeText(text.Replace("<", "\\u003c").Replace(">", "\\u003e").Replace("&", "\\u0026").Replace("'", "\\u0027"));
    }

    public static object RegexReplace(Run run, Arguments a)
    {
        if (run.RegexReplace is not { } replace) throw Fault.Type("No filter named 'regex_replace'.");
        if (a.Self is not (string or SafeText)) throw Fault.Type($"expected string or bytes-like object, got '{Py.TypeName(a.Self)}'");
        string text = Py.Str(a.Self);
        PyText.Scan(text);
        string replaced = replace(text, a.Required(0), a.Required(1), a.Int(2, 0));
        Meter.Current.Characters(replaced.Length);
        return replaced;
    }

    private static string? Indentation(Arguments a, int at) => a[at] switch
    {
        null => null,
        string s => s,
        _ => Spaces(a.Int(at, 0)),
    };

    public static string UrlEncode(object? value)
    {
        IEnumerable<object?>? items = value is string or SafeText ? null : value is PyDict dict
            ? new DictView(dict, "items").Items : Py.TryIterate(value);
        if (items is null) return Quote(Py.Str(value), query: false);
        return string.Join('&', items.Select(item =>
        {
            List<object?> pair = Py.ToList(item);
            if (pair.Count != 2) throw Fault.Value($"expected pairs of name and value, got {pair.Count} items");
            return Quote(Py.Str(pair[0]), query: true) + "=" + Quote(Py.Str(pair[1]), query: true);
        }));
    }

    private static string Quote(string text, bool query)
    {
        PyText.Scan(text);
        Meter.Current.Characters(3L * text.Length);
        var quoted = new StringBuilder();
        foreach (byte b in Encoding.UTF8.GetBytes(text))
        {
            char c = (char)b;
            if (char.IsAsciiLetterOrDigit(c) || c is '_' or '.' or '-' or '~' || (c == '/' && !query)) quoted.Append(c);
            else if (c == ' ' && query) quoted.Append('+');
            else quoted.Append('%').Append(b.ToString("X2", System.Globalization.CultureInfo.InvariantCulture));
        }

        return quoted.ToString();
    }

    public static string XmlAttributes(Arguments a)
    {
        if (a.Self is not PyDict dict) throw a.Self is Undefined u ? u.Fault()
            : Fault.Type($"'{Py.TypeName(a.Self)}' object has no attribute 'items'");
        var parts = new List<string>();
        foreach ((object? key, object? value) in dict.Pairs)
        {
            if (value is null or Undefined) continue;
            string name = Py.Str(key);
            if (name.AsSpan().ContainsAny(" \t\n\f\r/>="))
                throw Fault.Value($"Invalid character in attribute name: {PyRepr.Text(name)}");
            parts.Add($"{Markup.Escape(key)}=\"{Markup.Escape(value)}\"");
        }

        string text = string.Join(' ', parts);
        return a.Truth(0, otherwise: true) && text.Length > 0 ? " " + text : text;
    }
}
