// The methods of Python's str, on code points. Methods of safe text give safe text back, as markupsafe has it.
using System.Text;

namespace PeftAlign.Models.Templates.Jinja;

internal static class StringMethods
{
    public static readonly NativeTable Table = new()
    {
        { "upper", "", (_, a) => Like(a, PyChars.Upper(Self(a))) },
        { "lower", "", (_, a) => Like(a, PyChars.Lower(Self(a))) },
        { "casefold", "", (_, a) => Like(a, PyChars.CaseFold(Self(a))) },
        { "title", "", (_, a) => Like(a, PyChars.TitleWords(Self(a))) },
        { "capitalize", "", (_, a) => Like(a, PyChars.Capitalize(Self(a))) },
        { "swapcase", "", (_, a) => Like(a, PyChars.SwapCase(Self(a))) },
        { "strip", "chars?", (_, a) => Like(a, PyText.Strip(Self(a), a.Text(0), left: true, right: true)) },
        { "lstrip", "chars?", (_, a) => Like(a, PyText.Strip(Self(a), a.Text(0), left: true, right: false)) },
        { "rstrip", "chars?", (_, a) => Like(a, PyText.Strip(Self(a), a.Text(0), left: false, right: true)) },
        { "split", "sep? maxsplit?", (_, a) => Pieces(a, Split(Self(a), a.Text(0), a.Int(1, -1), fromRight: false)) },
        { "rsplit", "sep? maxsplit?", (_, a) => Pieces(a, Split(Self(a), a.Text(0), a.Int(1, -1), fromRight: true)) },
        { "splitlines", "keepends?", (_, a) => Pieces(a, Lines(Self(a), a.Truth(0))) },
        { "partition", "sep", (_, a) => Partition(a, last: false) },
        { "rpartition", "sep", (_, a) => Partition(a, last: true) },
        { "startswith", "prefix start? end?", (_, a) =>
            Affix(a, (text, part) => text.StartsWith(part, StringComparison.Ordinal)) },
        { "endswith", "suffix start? end?", (_, a) => Affix(a, (text, part) => text.EndsWith(part, StringComparison.Ordinal)) },
        { "removeprefix", "prefix", (_, a) =>
            Like(a, Self(a) is var s && s.StartsWith(a.Required(0), StringComparison.Ordinal) ? s[a.Required(0).Length..] : s) },
        { "removesuffix", "suffix", (_, a) =>
            Like(a, Self(a) is var s && s.EndsWith(a.Required(0), StringComparison.Ordinal) ? s[..^a.Required(0).Length] : s) },
        { "replace", "old new count?", (_, a) => Like(a, Replace(Self(a), a.Required(0), a.Required(1), a.Int(2, -1))) },
        { "find", "sub start? end?", (_, a) => Search(a, last: false) },
        { "rfind", "sub start? end?", (_, a) => Search(a, last: true) },
        { "index", "sub start? end?", (_, a) => Found(Search(a, last: false)) },
        { "rindex", "sub start? end?", (_, a) => Found(Search(a, last: true)) },
        { "count", "sub start? end?", (_, a) => Count(a) },
        { "join", "iterable", (_, a) => Like(a, Join(Self(a), a[0])) },
        { "format", "*values **named", (_, a) => Like(a, PyFormat.Braces(Self(a), a.Rest, a.Named)) },
        { "format_map", "mapping", (_, a) =>
            Like(a, PyFormat.Braces(Self(a), [], a[0] as PyDict ?? throw Fault.Type("format_map() needs a mapping"))) },
        { "isalpha", "", (_, a) => All(a, PyChars.IsAlpha) },
        { "isdigit", "", (_, a) => All(a, PyChars.IsDigit) },
        { "isdecimal", "", (_, a) => All(a, PyChars.IsDecimal) },
        { "isnumeric", "", (_, a) => All(a, PyChars.IsNumeric) },
        { "isalnum", "", (_, a) =>
            All(a, c => PyChars.IsAlpha(c) || PyChars.IsDecimal(c) || PyChars.IsDigit(c) || PyChars.IsNumeric(c)) },
        { "isspace", "", (_, a) => All(a, c => c <= char.MaxValue && PyText.IsSpace((char)c)) },
        { "isascii", "", (_, a) => Self(a).All(char.IsAscii) },
        { "isprintable", "", (_, a) => Self(a).Length == 0 || All(a, PyChars.IsPrintable) },
        { "isidentifier", "", (_, a) => Self(a) is { Length: > 0 } s && PyText.IsNameStart(s, 0)
            && Enumerable.Range(1, s.Length - 1).All(i => char.IsLowSurrogate(s[i]) || PyText.IsNamePart(s, i)) },
        { "islower", "", (_, a) => Cased(Self(a), PyChars.IsLower) },
        { "isupper", "", (_, a) => Cased(Self(a), PyChars.IsUpper) },
        { "istitle", "", (_, a) => IsTitle(Self(a)) },
        { "zfill", "width", (_, a) => Like(a, ZeroFill(Self(a), a.Int(0, 0))) },
        { "ljust", "width fillchar?", (_, a) => Like(a, Pad(Self(a), a.Int(0, 0), Fill(a), (room, _) => 0)) },
        { "rjust", "width fillchar?", (_, a) => Like(a, Pad(Self(a), a.Int(0, 0), Fill(a), (room, _) => room)) },
        { "center", "width fillchar?", (_, a) =>
            Like(a, Pad(Self(a), a.Int(0, 0), Fill(a), (room, width) => (room / 2) + (room & width & 1))) },
        { "expandtabs", "tabsize?", (_, a) => Like(a, ExpandTabs(Self(a), a.Int(0, 8))) },
        { "maketrans", "x", (_, a) => a[0] as PyDict
            ?? throw Fault.Type("if you give only one argument to maketrans it must be a dict") },
        { "translate", "table", (_, a) => Like(a, Translate(Self(a), a[0])) },
    };

    private static string Self(Arguments a)
    {
        string text = Py.Str(a.Self);
        PyText.Scan(text);
        return text;
    }

    private static object Like(Arguments a, string text)
    {
        Meter.Current.Characters(text.Length);
        return a.Self is SafeText ? new SafeText(text) : text;
    }

    private static PyList Pieces(Arguments a, List<string> pieces)
    {
        Meter.Current.Step(pieces.Count);
        return new PyList([.. pieces.Select(p => Like(a, p))]);
    }

    private static bool All(Arguments a, Func<int, bool> test) => Self(a) is { Length: > 0 } s && PyText.CodePoints(s).All(test);

    /// <summary>Whether there are cased characters and all are of one case.</summary>
    public static bool Cased(string text, Func<int, bool> oneCase)
    {
        bool any = false;
        foreach (int c in PyText.CodePoints(text).Where(PyChars.IsCased))
        {
            if (!oneCase(c)) return false;
            any = true;
        }

        return any;
    }

    private static bool IsTitle(string text)
    {
        bool any = false, inWord = false;
        foreach (int c in PyText.CodePoints(text))
        {
            bool capital = PyChars.IsUpper(c) || PyChars.IsTitle(c);
            if ((capital && inWord) || (PyChars.IsLower(c) && !inWord)) return false;
            inWord = PyChars.IsCased(c);
            any |= inWord;
        }

        return any;
    }

    private static List<string> Split(string text, string? separator, int most, bool fromRight)
    {
        if (separator is null) return fromRight ? SplitSpaceFromRight(text, most) : SplitSpace(text, most);
        if (separator.Length == 0) throw Fault.Value("empty separator");
        var pieces = new List<string>();
        if (fromRight && most >= 0)
        {
            int end = text.Length;
            for (int i; most > 0 && (i = LastBefore(text, separator, end)) >= 0; most--)
            {
                pieces.Add(text[(i + separator.Length)..end]);
                end = i;
            }

            pieces.Add(text[..end]);
            pieces.Reverse();
            return pieces;
        }

        int start = 0;
        for (int i; most != 0 && (i = PyText.Find(text, separator, start)) >= 0; most--)
        {
            pieces.Add(text[start..i]);
            start = i + separator.Length;
        }

        pieces.Add(text[start..]);
        return pieces;
    }

    private static int LastBefore(string text, string what, int end)
    {
        Meter.Current.Steps(1 + (Math.Max(0L, end - what.Length) * Math.Min(what.Length, 64) >> 10));
        return what.Length > end ? -1 : text.AsSpan(0, end).LastIndexOf(what);
    }

    /// <summary>split(): runs of white space separate, none at the ends.</summary>
    public static List<string> SplitSpace(string text, int most)
    {
        var pieces = new List<string>();
        for (int i = 0; ;)
        {
            while (i < text.Length && PyText.IsSpace(text[i])) i++;
            if (i >= text.Length) return pieces;
            int start = i;
            if (most-- == 0)
            {
                pieces.Add(text[start..]);
                return pieces;
            }

            while (i < text.Length && !PyText.IsSpace(text[i])) i++;
            pieces.Add(text[start..i]);
        }
    }

    private static List<string> SplitSpaceFromRight(string text, int most)
    {
        var pieces = new List<string>();
        for (int end = text.Length; ;)
        {
            while (end > 0 && PyText.IsSpace(text[end - 1])) end--;
            if (end == 0) break;
            int start = end;
            while (most != 0 && start > 0 && !PyText.IsSpace(text[start - 1])) start--;
            if (most == 0) start = 0;
            pieces.Add(text[start..end]);
            end = start;
            if (most-- == 0) break;
        }

        pieces.Reverse();
        return pieces;
    }

    private static List<string> Lines(string text, bool keepEnds)
    {
        var lines = new List<string>();
        for (int start = 0; start < text.Length;)
        {
            int end = start;
            while (end < text.Length && text[end]
                is not ('\n' or '\r' or '\v' or '\f' or '\x1c' or '\x1d' or '\x1e' or '\x85' or '\u2028' or '\u2029')) end++;
            int next = end
                + (end + 1 < text.Length && text[end] == '\r' && text[end + 1] == '\n' ? 2 : end < text.Length ? 1 : 0);
            lines.Add(text[start..(keepEnds ? next : end)]);
            start = next;
        }

        return lines;
    }

    private static PyTuple Partition(Arguments a, bool last)
    {
        (string text, string separator) = (Self(a), a.Required(0));
        if (separator.Length == 0) throw Fault.Value("empty separator");
        int at = last ? LastBefore(text, separator, text.Length) : PyText.Find(text, separator, 0);
        string[] parts = at >= 0 ? [text[..at], separator, text[(at + separator.Length)..]] : last ? ["", "", text]
            : [text, "", ""];
        return new PyTuple([.. parts.Select(p => Like(a, p))]);
    }

    /// <summary>The part of the text that start and end arguments choose, with its first code point.</summary>
    private static (string Part, int Start)? Window(Arguments a)
    {
        string text = Self(a);
        if (!(a.Has(1) || a.Has(2))) return (text, 0);
        int length = PyText.Length(text);
        int start = Clip(a[1] is null ? 0 : a.Int(1, 0)), end = a[2] is null ? length : Clip(a.Int(2, length));
        if (start > length || start > end) return null;
        int from = PyText.Position(text, start);
        return (text[from..PyText.Position(text, Math.Min(end, length))], start);
        int Clip(int at) => at < 0 ? Math.Max(0, at + length) : at;
    }

    private static bool Affix(Arguments a, Func<string, string, bool> test)
    {
        if (Window(a) is not (string text, _)) return false;
        if (Py.Unwrap(a[0]) is string one) return test(text, one);
        return a[0] is PyTuple many
            ? many.Items.Any(
                item => test(text, item as string ?? throw Fault.Type($"tuple must only contain str, not {Py.TypeName(item)}")))
            : throw Fault.Type($"first arg must be str or a tuple of str, not {Py.TypeName(a[0])}");
    }

    private static long Search(Arguments a, bool last)
    {
        string what = a.Required(0);
        if (Window(a) is not (string text, int start)) return -1;
        int at = last ? LastBefore(text, what, text.Length) : PyText.Find(text, what, 0);
        return at < 0 ? -1 : start + PyText.Length(text.AsSpan(0, at));
    }

    private static object Found(long at) => at >= 0 ? at : throw Fault.Value("substring not found");

    private static object Count(Arguments a)
    {
        string what = a.Required(0);
        if (Window(a) is not (string text, _)) return 0L;
        if (what.Length == 0) return PyText.Length(text) + 1L;
        long count = 0;
        for (int i = PyText.Find(text, what, 0); i >= 0; i = PyText.Find(text, what, i + what.Length)) count++;
        return count;
    }

    public static string Replace(string text, string old, string with, int most)
    {
        PyText.Scan(text);
        var result = new StringBuilder();
        int start = 0;
        if (old.Length == 0)
        {
            for (; most != 0 && start <= text.Length; most--)
            {
                Add(with);
                if (start == text.Length) return result.ToString();
                int width = PyText.Width(text, start);
                result.Append(text, start, width);
                start += width;
            }
        }
        else
        {
            for (int i; most != 0 && (i = PyText.Find(text, old, start)) >= 0; most--)
            {
                result.Append(text, start, i - start);
                Add(with);
                start = i + old.Length;
            }
        }

        return start == 0 ? text : result.Append(text, start, text.Length - start).ToString();

        void Add(string piece)
        {
            Meter.Current.Characters(piece.Length + 1);
            result.Append(piece);
        }
    }

    private static string Join(string separator, object? items)
    {
        var text = new StringBuilder();
        int index = 0;
        foreach (object? item in Py.ToList(items))
        {
            if (item is not (string or SafeText))
                throw Fault.Type($"sequence item {index}: expected str instance, {Py.TypeName(item)} found");
            if (index++ > 0) text.Append(separator);
            text.Append(Py.Str(item));
            Meter.Current.Characters(separator.Length + 1);
        }

        return text.ToString();
    }

    private static string Fill(Arguments a)
    {
        string fill = a.Text(1) ?? " ";
        return PyText.Length(fill) == 1 ? fill : throw Fault.Type("The fill character must be exactly one character long");
    }

    public static string Pad(string text, int width, string fill, Func<int, int, int> left)
    {
        int room = width - PyText.Length(text);
        if (room <= 0) return text;
        Meter.Current.Characters(width);
        int before = left(room, width);
        return new StringBuilder().Insert(0, fill, before).Append(text).Insert(
            before * fill.Length + text.Length, fill, room - before).ToString();
    }

    private static string ZeroFill(string text, int width)
    {
        bool sign = text.Length > 0 && text[0] is '+' or '-';
        return sign ? text[0] + Pad(text[1..], width - 1, "0", (room, _) => room) : Pad(text, width, "0", (room, _) => room);
    }

    private static string ExpandTabs(string text, int size)
    {
        var result = new StringBuilder();
        int column = 0;
        foreach (string piece in PyText.Characters(text).Cast<string>())
        {
            int spaces = piece == "\t" ? (size > 0 ? size - (column % size) : 0) : -1;
            if (spaces >= 0) Meter.Current.Characters(spaces);
            result.Append(spaces >= 0 ? new string(' ', spaces) : piece);
            column = piece is "\n" or "\r" ? 0 : column + (spaces >= 0 ? spaces : 1);
        }

        return result.ToString();
    }

    private static string Translate(string text, object? table)
    {
        if (table is not PyDict dict) throw Fault.Type($"'{Py.TypeName(table)}' object is not subscriptable");
        var result = new StringBuilder();
        foreach (string piece in PyText.Characters(text).Cast<string>())
        {
            bool mapped = dict.TryGet((long)PyText.CodePointAt(piece, 0), out object? to) || dict.TryGet(piece, out to);
            result.Append(!mapped ? piece : to is null ? "" : to is string s ? s : PyFormat.Character(to));
            Meter.Current.Characters(mapped && to is string put ? put.Length : 1);
        }

        return result.ToString();
    }
}
