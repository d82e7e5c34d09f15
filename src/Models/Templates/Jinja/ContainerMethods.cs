// The methods of dicts, lists, tuples, ranges and numbers that do not change them.
using System.Numerics;

namespace PeftAlign.Models.Templates.Jinja;

internal static class ContainerMethods
{
    public static readonly NativeTable OfDict = new()
    {
        { "get", "key default?", (_, a) => ((PyDict)a.Self!).TryGet(a[0], out object? value) ? value : a[1] },
        { "keys", "", (_, a) => new DictView((PyDict)a.Self!, "keys") },
        { "values", "", (_, a) => new DictView((PyDict)a.Self!, "values") },
        { "items", "", (_, a) => new DictView((PyDict)a.Self!, "items") },
        { "copy", "", (_, a) => a.Self },
        { "fromkeys", "keys value?", (_, a) => FromKeys(a[0], a[1]) },
    };

    public static readonly NativeTable OfTuple = new()
    {
        { "index", "value start? stop?", (_, a) => IndexOf(a) },
        { "count", "value", (_, a) => (long)Py.ToList(a.Self).Count(item => PyOperators.Equal(item, a[0])) },
    };

    public static readonly NativeTable OfList = new() { { "copy", "", (_, a) => a.Self } };

    public static readonly NativeTable OfFloat = new()
    {
        { "is_integer", "", (_, a) => (double)a.Self! is var d && Math.Floor(d) == d && double.IsFinite(d) },
        { "conjugate", "", (_, a) => a.Self },
    };

    public static readonly NativeTable OfInteger = new()
    {
        { "is_integer", "", (_, _) => true },
        { "conjugate", "", (_, a) => a.Self },
        { "bit_length", "", (_, a) => (long)BigInteger.Abs(PyNumber.Big(a.Self)).GetBitLength() },
        { "bit_count", "", (_, a) => (long)BigInteger.PopCount(BigInteger.Abs(PyNumber.Big(a.Self))) },
    };

    static ContainerMethods()
    {
        foreach ((string name, Native method) in OfTuple) OfList.Add(name, method);
    }

    private static PyDict FromKeys(object? keys, object? value)
    {
        var dict = new PyDict();
        foreach (object? key in Py.ToList(keys)) dict.Set(key, value);
        return dict;
    }

    private static object IndexOf(Arguments a)
    {
        List<object?> items = Py.ToList(a.Self);
        int start = a.Int(1, 0), stop = a.Int(2, items.Count);
        if (start < 0) start = Math.Max(0, start + items.Count);
        if (stop < 0) stop += items.Count;
        for (int i = start; i < stop && i < items.Count; i++)
            if (PyOperators.Equal(items[i], a[0])) return (long)i;
        throw Fault.Value($"{PyRepr.Of(a[0])} is not in {Py.TypeName(a.Self)}");
    }
}
