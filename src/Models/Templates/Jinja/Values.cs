// Python's values as templates see them. null is None; bool, long, BigInteger (beyond long), double and string stand for
// themselves; the classes below are the rest. All are immutable but Namespace, Cycler, Joiner and one-shot iterators,
// and containers know how deep they nest, so that every walk over them is bounded.
using System.Numerics;
using PeftAlign.Abstractions;

namespace PeftAlign.Models.Templates.Jinja;

/// <summary>A value that nests: walks over it recurse at most Depth levels.</summary>
internal interface INested
{
    int Depth { get; }
}

/// <summary>Python's list.</summary>
internal sealed class PyList(IReadOnlyList<object?> items) : INested
{
    public static readonly PyList Empty = new([]);

    public IReadOnlyList<object?> Items => items;

    public int Depth { get; } = Py.DepthOver(items);
}

/// <summary>Python's tuple; with field names where Jinja hands out a named one.</summary>
internal sealed class PyTuple(IReadOnlyList<object?> items, string[]? fields = null) : INested
{
    public static readonly PyTuple Empty = new([]);

    public IReadOnlyList<object?> Items => items;

    public string[] Fields => fields ?? [];

    public int Depth { get; } = Py.DepthOver(items);
}

/// <summary>Python's dict: keys in order of insertion. Filled by its maker, not changed afterwards.</summary>
internal sealed class PyDict : INested
{
    private static readonly object NoneKey = new();

    private readonly OrderedDictionary<object, object?> entries = new(PyOperators.KeyComparer);

    public int Depth { get; private set; } = 1;

    public int Count => entries.Count;

    public IEnumerable<object?> Keys => entries.Keys.Select(k => ReferenceEquals(k, NoneKey) ? null : k);

    public IEnumerable<object?> Values => entries.Values;

    public IEnumerable<KeyValuePair<object?, object?>> Pairs =>
        entries.Select(e => new KeyValuePair<object?, object?>(ReferenceEquals(e.Key, NoneKey) ? null : e.Key, e.Value));

    public void Set(object? key, object? value)
    {
        entries[Key(key)] = value;
        Depth = Math.Max(Depth, Meter.Nest(1 + Math.Max(Py.DepthOf(key), Py.DepthOf(value))));
    }

    public bool TryGet(object? key, out object? value) => entries.TryGetValue(Key(key), out value);

    private static object Key(object? key) => key switch
    {
        null => NoneKey,
        Undefined { IsStrict: true } undefined => throw undefined.Fault(),
        SafeText safe => safe.Text,
        _ when PyOperators.Hashable(key) => key,
        _ => throw Fault.Type($"unhashable type: '{Py.TypeName(key)}'"),
    };
}

/// <summary>What dict.keys(), values() and items() give: a view with the name it prints.</summary>
internal sealed class DictView(PyDict dict, string kind) : INested
{
    public PyDict Dict => dict;

    public string Kind => kind;

    public int Depth => dict.Depth + 1;

    public IEnumerable<object?> Items => kind switch
    {
        "keys" => dict.Keys,
        "values" => dict.Values,
        _ => dict.Pairs.Select(p => (object?)new PyTuple([p.Key, p.Value])),
    };
}

/// <summary>Python's range: start, start + step, ... before stop.</summary>
internal sealed record PyRange(long Start, long Stop, long Step, int Count)
{
    public object? this[int i] => Start + (i * Step);

    public IEnumerable<object?> Items => Enumerable.Range(0, Count).Select(i => this[i]);
}

/// <summary>A generator or iterator: computed when first asked, and gone once walked through.</summary>
internal sealed class PyIterator(string description, object? source, Func<IEnumerable<object?>> make) : INested
{
    private IEnumerator<object?>? running;

    public string Description => description;

    public int Depth { get; } = Meter.Nest(1 + Py.DepthOf(source));

    public bool Next(out object? value)
    {
        Meter.EnsureStack();
        running ??= make().GetEnumerator();
        bool any = running.MoveNext();
        value = any ? running.Current : null;
        return any;
    }

    public IEnumerable<object?> Rest()
    {
        while (Next(out object? value)) yield return value;
    }
}

/// <summary>Text marked as safe HTML: escape leaves it alone, and + escapes what is added to it.</summary>
internal sealed record SafeText(string Text);

/// <summary>What a name or member is that does not exist. Printing and testing it is allowed unless it is strict, using it is not.</summary>
internal sealed class Undefined(string message, ChatTemplateErrorKind kind = ChatTemplateErrorKind.Undefined)
{
    /// <summary>jinja2's StrictUndefined: it may be asked whether it is defined and be given a default, and all else is a fault.</summary>
    public bool IsStrict { get; init; } = Meter.Current.IsStrict;

    public static Undefined Name(string name) => new($"'{name}' is undefined");

    public static Undefined Member(object? owner, object? key) => new(key is string name
        ? $"'{Owner(owner)}' has no attribute {PyRepr.Text(name)}"
        : $"{Owner(owner)} has no element {PyRepr.Of(key)}");

    public static Undefined Unsafe(object? owner, string name) => new(
        $"access to attribute {PyRepr.Text(name)} of {PyRepr.Text(Py.TypeName(owner))} object is unsafe.",
        ChatTemplateErrorKind.Security);

    public Fault Fault() => new(kind, message);

    /// <summary>What an operation gives that only the strict one refuses.</summary>
    public T Lenient<T>(T value) => IsStrict ? throw Fault() : value;

    private static string Owner(object? owner) => owner is null ? "None" : Py.TypeName(owner) + " object";
}

/// <summary>Jinja's namespace: the one place where a loop's body can leave a value.</summary>
internal sealed class Namespace
{
    public Dictionary<string, object?> Members { get; } = [];

    public void Set(string name, object? value)
    {
        if (name.StartsWith('_'))
        {
            throw Fault.Security(
                $"Chat templates cannot store underscore-prefixed attributes on a namespace, but got {PyRepr.Text(name)}. "
                + "Please rename the attribute.");
        }

        Members[name] = value;
    }
}

/// <summary>What the built-in operations of Python say of any value.</summary>
internal static class Py
{
    public static int DepthOf(object? value) => value is INested nested ? nested.Depth : 0;

    public static int DepthOver(IReadOnlyList<object?> items)
    {
        int depth = 0;
        for (int i = 0; i < items.Count; i++) depth = Math.Max(depth, DepthOf(items[i]));
        return Meter.Nest(depth + 1);
    }

    public static object? Unwrap(object? value) => value is SafeText safe ? safe.Text : value;

    public static bool Truth(object? value) => value switch
    {
        null => false,
        Undefined undefined => undefined.Lenient(false),
        bool b => b,
        long n => n != 0,
        double d => d != 0,
        string s => s.Length > 0,
        _ => Length(value) is not 0,
    };

    /// <summary>len(value); null where it has none.</summary>
    public static int? Length(object? value) => value switch
    {
        string s => PyText.Length(s),
        SafeText s => PyText.Length(s.Text),
        PyList list => list.Items.Count,
        PyTuple tuple => tuple.Items.Count,
        PyDict dict => dict.Count,
        DictView view => view.Dict.Count,
        PyRange range => range.Count,
        LoopState loop => loop.Length,
        Undefined undefined => undefined.Lenient(0),
        _ => null,
    };

    /// <summary>The elements of an iterable; null where the value is none.</summary>
    public static IEnumerable<object?>? TryIterate(object? value) => value switch
    {
        string s => PyText.Characters(s),
        SafeText s => PyText.Characters(s.Text),
        PyList list => list.Items,
        PyTuple tuple => tuple.Items,
        PyDict dict => dict.Keys,
        DictView view => view.Items,
        PyRange range => range.Items,
        PyIterator iterator => iterator.Rest(),
        LoopState loop => loop.Rest(),
        Undefined undefined => undefined.Lenient<object?[]>([]),
        _ => null,
    };

    public static IEnumerable<object?> Iterate(object? value) =>
        TryIterate(value) ?? throw Fault.Type($"'{TypeName(value)}' object is not iterable");

    /// <summary>The elements as a list; each costs a step.</summary>
    public static List<object?> ToList(object? value)
    {
        Meter meter = Meter.Current;
        if (Length(value) is int count) meter.Step(count);
        var items = new List<object?>();
        foreach (object? item in Iterate(value))
        {
            meter.Step();
            items.Add(item);
        }

        return items;
    }

    public static string TypeName(object? value) => value switch
    {
        null => "NoneType",
        bool => "bool",
        long or BigInteger => "int",
        double => "float",
        string => "str",
        SafeText => "Markup",
        PyList => "list",
        PyTuple => "tuple",
        PyDict => "dict",
        DictView view => "dict_" + view.Kind,
        PyRange => "range",
        PyIterator => "generator",
        Undefined { IsStrict: true } => "StrictUndefined",
        Undefined => "Undefined",
        LoopState => "LoopContext",
        Namespace => "Namespace",
        Macro => "Macro",
        _ => value.GetType().Name.ToLowerInvariant(),
    };

    /// <summary>str(value): what a template prints.</summary>
    public static string Str(object? value) => value switch
    {
        string s => s,
        SafeText s => s.Text,
        Undefined undefined => undefined.Lenient(""),
        _ => PyRepr.Of(value),
    };
}
