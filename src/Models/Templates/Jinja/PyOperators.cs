// Python's operators on any values: equality and order, arithmetic with its sequence forms, membership, items and slices.
using System.Text;

namespace PeftAlign.Models.Templates.Jinja;

internal static class PyOperators
{
    /// <summary>Equality and hash of dict keys: 1, 1.0 and True are one key.</summary>
    public static readonly IEqualityComparer<object> KeyComparer = new Comparer();

    public static bool Hashable(object? value) => value switch
    {
        PyList or PyDict => false,
        PyTuple tuple => Entered(tuple.Items).All(Charged),
        _ => true,
    };

    // What a walk takes to go into a container, beside its items: calls and tests of types are most of the time that nested ones take.
    private static IReadOnlyList<object?> Entered(IReadOnlyList<object?> items)
    {
        Meter.Current.Step(ContainerSteps);
        return items;
    }

    private const int ContainerSteps = 8;

    private static bool Charged(object? item)
    {
        Meter.Current.Step();
        return Hashable(item);
    }

    public static bool Equal(object? a, object? b)
    {
        (a, b) = (Py.Unwrap(a), Py.Unwrap(b));
        if (a is Undefined { IsStrict: true } first) throw first.Fault();
        if (b is Undefined { IsStrict: true } second) throw second.Fault();
        if (a is string s) return b is string t && s.Length == t.Length && EqualText(s, t);
        if (PyNumber.IsNumber(a)) return PyNumber.IsNumber(b) && PyNumber.Compare(a!, b!) == 0;
        if (ReferenceEquals(a, b)) return true;
        return (a, b) switch
        {
            (Undefined, Undefined) => true,
            (PyList x, PyList y) => EqualItems(x.Items, y.Items),
            (PyTuple x, PyTuple y) => EqualItems(x.Items, y.Items),
            (PyDict x, PyDict y) => EqualDicts(x, y),
            (PyRange x, PyRange y) => x.Count == y.Count
                && (x.Count == 0 || (x.Start == y.Start && (x.Count == 1 || x.Step == y.Step))),
            (DictView x, DictView y) => x.Kind != "values" && x.Kind == y.Kind
                && EqualDicts(x.Dict, y.Dict, keysOnly: x.Kind == "keys"),
            _ => false,
        };
    }

    private static bool EqualText(string s, string t)
    {
        Meter.Current.Step(1 + (s.Length >> 6));
        return s == t;
    }

    private static bool EqualItems(IReadOnlyList<object?> a, IReadOnlyList<object?> b)
    {
        if (a.Count != b.Count) return false;
        Meter meter = Meter.Current;
        meter.Step(ContainerSteps);
        for (int i = 0; i < a.Count; i++)
        {
            meter.Step();
            if (!ReferenceEquals(a[i], b[i]) && !Equal(a[i], b[i])) return false;
        }

        return true;
    }

    private static bool EqualDicts(PyDict a, PyDict b, bool keysOnly = false)
    {
        if (a.Count != b.Count) return false;
        Meter meter = Meter.Current;
        meter.Step(ContainerSteps);
        foreach ((object? key, object? value) in a.Pairs)
        {
            meter.Step();
            if (!b.TryGet(key, out object? other)
                || !(keysOnly || ReferenceEquals(value, other) || Equal(value, other))) return false;
        }

        return true;
    }

    /// <summary>a op b for op one of ==, !=, &lt;, &lt;=, &gt;, &gt;=, in, not in.</summary>
    public static bool Compare(string op, object? a, object? b)
    {
        switch (op)
        {
            case "==": return Equal(a, b);
            case "!=": return !Equal(a, b);
            case "in": return Contains(b, a);
            case "not in": return !Contains(b, a);
        }

        int? order = Order(op, a, b);
        return op switch
        {
            "<" => order < 0,
            "<=" => order <= 0,
            ">" => order > 0,
            _ => order >= 0,
        };
    }

    /// <summary>The order of two values; null where NaN makes every comparison false.</summary>
    /// <exception cref="Fault">Type, where Python knows no order.</exception>
    public static int? Order(string op, object? a, object? b)
    {
        (a, b) = (Py.Unwrap(a), Py.Unwrap(b));
        if (a is Undefined u) throw u.Fault();
        if (b is Undefined v) throw v.Fault();
        if (PyNumber.IsNumber(a) && PyNumber.IsNumber(b)) return PyNumber.Compare(a!, b!);
        return (a, b) switch
        {
            (string s, string t) => PyText.Compare(s, t),
            (PyList x, PyList y) => OrderItems(op, x.Items, y.Items),
            (PyTuple x, PyTuple y) => OrderItems(op, x.Items, y.Items),
            _ => throw Fault.Type($"'{op}' not supported between instances of '{Py.TypeName(a)}' and '{Py.TypeName(b)}'"),
        };
    }

    private static int? OrderItems(string op, IReadOnlyList<object?> a, IReadOnlyList<object?> b)
    {
        for (int i = 0; i < a.Count && i < b.Count; i++)
        {
            Meter.Current.Step();
            if (!Equal(a[i], b[i])) return Order(op, a[i], b[i]);
        }

        return a.Count.CompareTo(b.Count);
    }

    public static bool Contains(object? container, object? item)
    {
        container = Py.Unwrap(container);
        item = Py.Unwrap(item);
        if (container is string text)
        {
            if (item is not string part)
                throw Fault.Type($"'in <string>' requires string as left operand, not {Py.TypeName(item)}");
            PyText.Scan(text);
            return PyText.Find(text, part, 0) >= 0;
        }

        if (container is PyDict dict) return dict.TryGet(item, out _);
        if (container is DictView { Kind: "keys" } view) return view.Dict.TryGet(item, out _);
        IEnumerable<object?> items = Py.TryIterate(container)
            ?? throw Fault.Type($"argument of type '{Py.TypeName(container)}' is not iterable");
        foreach (object? candidate in items)
        {
            Meter.Current.Step();
            if (ReferenceEquals(candidate, item) || Equal(candidate, item)) return true;
        }

        return false;
    }

    /// <summary>a op b for op one of + - * / // % **.</summary>
    public static object? Arithmetic(string op, object? a, object? b)
    {
        if (a is Undefined u) throw u.Fault();
        if (b is Undefined v && !(op == "%" && a is string or SafeText)) throw v.Fault();
        if (PyNumber.IsNumber(a) && PyNumber.IsNumber(b)) return PyNumber.Compute(op, a!, b!);
        if (op == "%" && a is string format) return PyFormat.Percent(format, b);
        if (op == "%" && a is SafeText safe) return new SafeText(PyFormat.Percent(safe.Text, Markup.EscapeArguments(b)));
        if (op == "+") return Add(a, b);
        if (op == "*" && PyNumber.IsInteger(b) && Repeat(a, b) is object left) return left;
        if (op == "*" && PyNumber.IsInteger(a) && Repeat(b, a) is object right) return right;
        string shown = op == "**" ? "** or pow()" : op;
        throw Fault.Type($"unsupported operand type(s) for {shown}: '{Py.TypeName(a)}' and '{Py.TypeName(b)}'");
    }

    private static object? Add(object? a, object? b)
    {
        switch (a, b)
        {
            case (string s, string t):
                Meter.Current.Characters((long)s.Length + t.Length);
                return s + t;
            case (SafeText or string, SafeText or string):
                return new SafeText(Markup.Escape(a) + Markup.Escape(b));
            case (PyList x, PyList y): return new PyList(Joined(x.Items, y.Items));
            case (PyTuple x, PyTuple y): return new PyTuple(Joined(x.Items, y.Items));
            case (string, _): throw Fault.Type($"can only concatenate str (not \"{Py.TypeName(b)}\") to str");
            case (PyList, _): throw Fault.Type($"can only concatenate list (not \"{Py.TypeName(b)}\") to list");
            case (PyTuple, _): throw Fault.Type($"can only concatenate tuple (not \"{Py.TypeName(b)}\") to tuple");
            default: throw Fault.Type($"unsupported operand type(s) for +: '{Py.TypeName(a)}' and '{Py.TypeName(b)}'");
        }
    }

    private static object?[] Joined(IReadOnlyList<object?> a, IReadOnlyList<object?> b)
    {
        Meter.Current.Steps((long)a.Count + b.Count);
        return [.. a, .. b];
    }

    private static object? Repeat(object? sequence, object? count)
    {
        long times = Math.Max(0, PyNumber.Index(count));
        switch (sequence)
        {
            case string or SafeText:
                string text = Py.Str(sequence);
                Meter.Current.Characters(text.Length * times);
                string repeated = times == 0 ? "" : new StringBuilder().Insert(0, text, (int)times).ToString();
                return sequence is string ? repeated : new SafeText(repeated);
            case PyList list: return new PyList(Repeated(list.Items, times));
            case PyTuple tuple: return new PyTuple(Repeated(tuple.Items, times));
            default: return null;
        }
    }

    private static object?[] Repeated(IReadOnlyList<object?> items, long times)
    {
        Meter.Current.Steps(items.Count * times);
        var all = new List<object?>();
        for (long i = 0; i < times && items.Count > 0; i++) all.AddRange(items);
        return [.. all];
    }

    /// <summary>value[key] for a key or a slice; false where Python raises TypeError or LookupError.</summary>
    public static bool TryItem(object? value, object? key, out object? item)
    {
        item = null;
        value = Py.Unwrap(value);
        if (value is PyDict dict) return key is not Slice && Hashable(key) && dict.TryGet(key, out item);
        if (value is not (string or PyList or PyTuple or PyRange)) return false;
        if (key is Slice slice)
        {
            item = slice.Of(value);
            return true;
        }

        if (!PyNumber.IsInteger(key)) return false;
        int count = Py.Length(value)!.Value;
        int index = PyNumber.Index(key);
        if (index < 0) index += count;
        if (index < 0 || index >= count) return false;
        if (value is string s)
        {
            PyText.Scan(s);
            int at = PyText.Position(s, index);
            item = s.Substring(at, PyText.Width(s, at));
        }
        else
        {
            item = value is PyRange range ? range[index] : ((value as PyList)?.Items ?? ((PyTuple)value).Items)[index];
        }

        return true;
    }

    private sealed class Comparer : IEqualityComparer<object>
    {
        bool IEqualityComparer<object>.Equals(object? a, object? b) => Equal(a, b);

        public int GetHashCode(object value)
        {
            switch (value)
            {
                case double d when d == Math.Floor(d) && double.IsFinite(d): return GetHashCode(PyNumber.Truncate(d));
                case bool b: return (b ? 1L : 0L).GetHashCode();
                case SafeText safe: return safe.Text.GetHashCode();
                case Undefined undefined: return undefined.Lenient(0);
                case PyRange range: return range.Count;
                case DictView view: return view.Dict.Count;
                case PyTuple tuple:
                    Meter.Current.Step(ContainerSteps + tuple.Items.Count);
                    return tuple.Items.Aggregate(
                        tuple.Items.Count, (hash, item) => HashCode.Combine(hash, item is null ? 0 : GetHashCode(item)));
                default: return value.GetHashCode();
            }
        }
    }
}

/// <summary>Python's slice, bounds null where absent.</summary>
internal sealed record Slice(object? Start, object? Stop, object? Step)
{
    /// <summary>The slice of a string, list, tuple or range, by code points.</summary>
    public object Of(object value)
    {
        int count = Py.Length(value)!.Value;
        long step = Step is null ? 1 : Bound(Step);
        if (step == 0) throw Fault.Value("slice step cannot be zero");
        long start = Clip(Start, step > 0 ? 0 : count - 1, count, step);
        long stop = Clip(Stop, step > 0 ? count : -1, count, step);
        long length = Math.Max(0, step > 0 ? (stop - start + step - 1) / step : (start - stop - step - 1) / -step);
        if (value is string text) return OfText(text, (int)start, step, (int)length);
        if (value is PyRange range) return new PyRange(
            range.Start + (start * range.Step), range.Start + (stop * range.Step), range.Step * step, (int)length);
        IReadOnlyList<object?> items = (value as PyList)?.Items ?? ((PyTuple)value).Items;
        Meter.Current.Step((int)length);
        object?[] taken = new object?[length];
        for (int i = 0; i < length; i++) taken[i] = items[(int)(start + (i * step))];
        return value is PyList ? new PyList(taken) : new PyTuple(taken);
    }

    private static long Bound(object value) => PyNumber.IsInteger(value)
        ? PyNumber.Index(value)
        : throw Fault.Type("slice indices must be integers or None or have an __index__ method");

    private static long Clip(object? bound, long absent, int count, long step)
    {
        if (bound is null) return absent;
        long at = Bound(bound);
        if (at < 0) at += count;
        return step > 0 ? Math.Clamp(at, 0, count) : Math.Clamp(at, -1, count - 1);
    }

    private static string OfText(string text, int start, long step, int length)
    {
        PyText.Scan(text);
        Meter.Current.Characters(length);
        if (length == 0) return "";
        if (step == 1)
        {
            int from = PyText.Position(text, start);
            return text.Substring(from, PyText.Position(text[from..], length));
        }

        var taken = new StringBuilder(length);
        if (!text.AsSpan().ContainsAnyInRange('\ud800', '\udbff'))
        {
            for (int i = 0; i < length; i++) taken.Append(text[(int)(start + (i * step))]);
            return taken.ToString();
        }

        Meter.Current.Step(text.Length >> 3);
        int[] points = [.. PyText.CodePoints(text)];
        for (int i = 0; i < length; i++) taken.Append(PyText.One(points[start + (i * step)]));
        return taken.ToString();
    }
}
