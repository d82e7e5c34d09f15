// The functions that every template sees: Jinja's range, dict, namespace, cycler, joiner, and what transformers adds,
// raise_exception and strftime_now.
using PeftAlign.Abstractions;

namespace PeftAlign.Models.Templates.Jinja;

internal static class Globals
{
    private static readonly NativeTable Functions = new()
    {
        { "range", "start stop? step?", (_, a) => Range(a) },
        { "dict", "pairs? **named", (_, a) => Dict(a) },
        { "namespace", "pairs? **named", (_, a) => NewNamespace(Dict(a)) },
        { "cycler", "*items", (_, a) => new Cycler(a.Rest) },
        { "joiner", "sep?", (_, a) => new Joiner(a.Or(0, ", ")) },
        { "lipsum", "n? html? min? max?", (_, _) =>
            throw Fault.Security("lipsum makes random text; a chat template gives the same text every time") },
        { "raise_exception", "message", (_, a) => throw new Fault(ChatTemplateErrorKind.Raised, Py.Str(a[0])) },
        { "strftime_now", "format", (run, a) => TimeFormat.Format(run.Now ?? DateTime.Now, a.Required(0)) },
    };

    public static readonly Dictionary<string, object?> Table =
        Functions.ToDictionary(f => f.Key, f => (object?)new BoundNative(f.Value, null, "function " + f.Key));

    private static PyRange Range(Arguments a)
    {
        long start = a.Has(1) ? PyNumber.Index(a[0]) : 0;
        long stop = PyNumber.Index(a.Has(1) ? a[1] : a[0]);
        long step = a.Int(2, 1);
        if (step == 0) throw Fault.Value("range() arg 3 must not be zero");
        long count = Math.Max(0, step > 0 ? (stop - start + step - 1) / step : (start - stop - step - 1) / -step);
        if (count > RenderLimits.Range)
            throw new Fault(ChatTemplateErrorKind.Limit,
                $"Range too big. The sandbox blocks ranges larger than MAX_RANGE ({RenderLimits.Range}).");
        return new PyRange(start, stop, step, (int)count);
    }

    private static PyDict Dict(Arguments a)
    {
        var dict = new PyDict();
        if (a[0] is Undefined undefined) throw undefined.Fault();
        if (a[0] is PyDict source)
        {
            foreach ((object? key, object? value) in source.Pairs) dict.Set(key, value);
        }
        else if (a.Has(0))
        {
            foreach (object? pair in Py.ToList(a[0]))
            {
                List<object?> two = Py.ToList(pair);
                if (two.Count != 2)
                    throw Fault.Value($"dictionary update sequence element has length {two.Count}; 2 is required");
                dict.Set(two[0], two[1]);
            }
        }

        foreach ((object? key, object? value) in a.Named.Pairs) dict.Set(key, value);
        Meter.Current.Step(dict.Count);
        return dict;
    }

    private static Namespace NewNamespace(PyDict members)
    {
        var space = new Namespace();
        foreach ((object? name, object? value) in members.Pairs) space.Set(Py.Str(name), value);
        return space;
    }
}

/// <summary>cycler(a, b): next() gives a, b, a, b ...</summary>
internal sealed class Cycler(object?[] items)
{
    public static readonly NativeTable Methods = new()
    {
        { "next", "", (_, a) => ((Cycler)a.Self!).Next() },
        { "reset", "", (_, a) => ((Cycler)a.Self!).Reset() },
    };

    private readonly object?[] items = items.Length > 0 ? items : throw Fault.Type("at least one item has to be provided");
    private int at;

    public object? Current => items[at];

    private object? Next()
    {
        object? current = Current;
        at = (at + 1) % items.Length;
        return current;
    }

    private object? Reset()
    {
        at = 0;
        return null;
    }
}

/// <summary>joiner(sep): empty at the first call, the separator from the second on.</summary>
internal sealed class Joiner(object? separator) : Callable
{
    private bool used;

    public override object? Invoke(Run run, GivenArguments given)
    {
        object? text = used ? separator : "";
        used = true;
        return text;
    }
}
