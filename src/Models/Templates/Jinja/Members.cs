// Attribute and item access through the sandbox: x.name finds methods first and keys second, x[key] the other way
// round; names that reach for Python's internals or would change a value give something undefined that may not be used.
using System.Numerics;

namespace PeftAlign.Models.Templates.Jinja;

internal static class Members
{
    private static readonly HashSet<string> ListChangers =
        ["append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove"];

    private static readonly HashSet<string> DictChangers = ["clear", "pop", "popitem", "setdefault", "update"];

    private static readonly HashSet<string> OfEveryObject =
        ["__class__", "__dict__", "__doc__", "__eq__", "__hash__", "__init__", "__iter__", "__len__", "__module__", "__str__"];

    /// <summary>owner.name.</summary>
    public static object? Attribute(object? owner, string name)
    {
        if (TryAttribute(owner, name, out object? value)) return value;
        return PyOperators.TryItem(owner, name, out value) ? value : Undefined.Member(owner, name);
    }

    /// <summary>owner[key].</summary>
    public static object? Item(object? owner, object? key)
    {
        if (owner is Undefined undefined) throw undefined.Fault();
        if (PyOperators.TryItem(owner, key, out object? value)) return value;
        return key is string name && TryAttribute(owner, name, out value) ? value : Undefined.Member(owner, key);
    }

    /// <summary>An attribute alone, without looking among the keys: the filter attr.</summary>
    public static object? OnlyAttribute(object? owner, string name) =>
        TryAttribute(owner, name, out object? value) ? value : Undefined.Member(owner, name);

    private static bool TryAttribute(object? owner, string name, out object? value)
    {
        if (owner is Undefined undefined && !OfEveryObject.Contains(name)) throw undefined.Fault();
        if (name.StartsWith("__", StringComparison.Ordinal) && name.EndsWith("__", StringComparison.Ordinal))
        {
            value = Undefined.Unsafe(owner, name);
            return true;
        }

        if ((owner is PyList && ListChangers.Contains(name)) || (owner is PyDict && DictChangers.Contains(name)))
        {
            value = Undefined.Unsafe(owner, name);
            return true;
        }

        NativeTable? methods = owner switch
        {
            string or SafeText => StringMethods.Table,
            PyDict => ContainerMethods.OfDict,
            PyList => ContainerMethods.OfList,
            PyTuple or PyRange => ContainerMethods.OfTuple,
            double => ContainerMethods.OfFloat,
            _ when PyNumber.IsInteger(owner) => ContainerMethods.OfInteger,
            LoopState => LoopState.Methods,
            Cycler => Cycler.Methods,
            _ => null,
        };
        if (methods is not null && methods.TryGetValue(name, out Native? native))
        {
            value = new BoundNative(native, owner, $"built-in method {name} of {Py.TypeName(owner)} object");
            return true;
        }

        return TryData(owner, name, out value);
    }

    private static bool TryData(object? owner, string name, out object? value)
    {
        value = null;
        switch (owner)
        {
            case Namespace space: return space.Members.TryGetValue(name, out value);
            case LoopState loop: return loop.TryData(name, out value);
            case Macro macro: return macro.TryData(name, out value);
            case Cycler cycler when name == "current": value = cycler.Current; return true;
            case PyTuple tuple when Array.IndexOf(tuple.Fields, name) is int i and >= 0: value = tuple.Items[i]; return true;
            case PyRange range when name is "start" or "stop" or "step":
                value = name == "start" ? range.Start : name == "stop" ? range.Stop : range.Step;
                return true;
            case double when name is "real" or "imag": value = name == "real" ? owner : 0.0; return true;
            case long or bool or BigInteger when name is "real" or "imag" or "numerator" or "denominator":
                value = name == "imag" ? 0L : name == "denominator" ? 1L : PyNumber.Normal(PyNumber.Big(owner));
                return true;
            default: return false;
        }
    }
}
