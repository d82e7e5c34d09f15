// Filters over sequences. What Jinja computes lazily is lazy here too: such a result can be walked through once.
namespace PeftAlign.Models.Templates.Jinja;

internal static class SequenceFilters
{
    /// <summary>Jinja's "attribute" arguments: "a.b.0" reads a, then b, then item 0; none reads the item itself.</summary>
    private static Func<object?, object?> Getter(Run run, object? attribute, object? whenUndefined = null)
    {
        object?[] parts = attribute switch
        {
            null => [],
            string path => [.. path.Split('.').Select(
                p => p.Length is > 0 and < 10 && p.All(char.IsAsciiDigit) ? (object)long.Parse(p) : p)],
            _ => [attribute],
        };
        return item =>
        {
            foreach (object? part in parts)
            {
                run.Meter.Step();
                item = Members.Item(item, part);
                if (item is Undefined && whenUndefined is not null) item = whenUndefined;
            }

            return item;
        };
    }

    private static object? IgnoreCase(object? value) => Py.Unwrap(value) is string text ? PyChars.Lower(text) : value;

    /// <summary>The key by which sort, unique, min, max and groupby compare.</summary>
    private static Func<object?, object?> Key(Run run, object? attribute, bool caseSensitive, object? whenUndefined = null)
    {
        Func<object?, object?> get = Getter(run, attribute, whenUndefined);
        return caseSensitive ? get : item => IgnoreCase(get(item));
    }

    public static object? First(object? value)
    {
        if (value is PyIterator iterator) return iterator.Next(out object? next) ? next
            : Empty("No first item, sequence was empty.");
        foreach (object? item in Py.Iterate(value)) return item;
        return Empty("No first item, sequence was empty.");
    }

    public static object? Last(object? value)
    {
        if (value is PyIterator) throw Fault.Type($"'{Py.TypeName(value)}' object is not reversible");
        List<object?> items = Py.ToList(value);
        return items.Count > 0 ? items[^1] : Empty("No last item, sequence was empty.");
    }

    private static Undefined Empty(string message) => new(message);

    private static PyIterator Lazy(string name, object? source, Func<IEnumerable<object?>> make) =>
        new($"generator object {name}", source, make);

    public static object? Items(object? value) => value switch
    {
        Undefined => Lazy("do_items", null, () => []),
        PyDict dict => Lazy("do_items", dict, () => new DictView(dict, "items").Items),
        _ => throw Fault.Type("Can only get item pairs from a mapping."),
    };

    public static object Join(Run run, Arguments a)
    {
        string separator = Py.Str(a.Or(0, ""));
        Func<object?, object?> get = Getter(run, a[1]);
        var text = new System.Text.StringBuilder();
        bool first = true;
        foreach (object? item in Py.ToList(a.Self))
        {
            if (!first) text.Append(separator);
            first = false;
            string piece = Py.Str(get(item));
            run.Meter.Characters((long)piece.Length + separator.Length);
            text.Append(piece);
        }

        return text.ToString();
    }

    public static object Reverse(object? value)
    {
        if (Py.Unwrap(value) is string text) return new Slice(null, null, -1L).Of(text);
        if (Py.TryIterate(value) is null) throw Fault.Type("argument must be iterable");
        List<object?> items = Py.ToList(value);
        items.Reverse();
        return value is PyIterator ? new PyList(items)
            : new PyIterator("list_reverseiterator object", new PyList(items), () => items);
    }

    public static object Batch(Arguments a)
    {
        int count = a.Int(0, 0);
        return Lazy("do_batch", a.Self, Batches);

        IEnumerable<object?> Batches()
        {
            var batch = new List<object?>();
            foreach (object? item in Py.ToList(a.Self))
            {
                if (batch.Count == count)
                {
                    yield return new PyList(batch);
                    batch = [];
                }

                batch.Add(item);
            }

            if (batch.Count == 0) yield break;
            if (a[1] is not null && batch.Count < count)
            {
                Meter.Current.Step(count - batch.Count);
                batch.AddRange(Enumerable.Repeat(a[1], count - batch.Count));
            }

            yield return new PyList(batch);
        }
    }

    public static object Slice(Arguments a)
    {
        int slices = a.Int(0, 1);
        return Lazy("sync_do_slice", a.Self, Slices);

        IEnumerable<object?> Slices()
        {
            List<object?> items = Py.ToList(a.Self);
            if (slices == 0) throw Fault.Value("integer division or modulo by zero");
            if (slices < 0) yield break;
            (int each, int longer) = Math.DivRem(items.Count, slices);
            for (int i = 0, start = 0; i < slices; i++)
            {
                int length = each + (i < longer ? 1 : 0);
                List<object?> part = items.GetRange(start, length);
                start += length;
                if (a[1] is not null && i >= longer) part.Add(a[1]);
                Meter.Current.Step(4);
                yield return new PyList(part);
            }
        }
    }

    public static object Sort(Run run, Arguments a)
    {
        Func<object?, object?>[] keys = [.. Attributes(a[2]).Select(attribute => Key(run, attribute, a.Truth(1)))];
        return new PyList(Sorting.Sort(
            Py.ToList(a.Self), item => new PyList(Array.ConvertAll(keys, k => k(item))), Reversed(a, 0)));
    }

    private static bool Reversed(Arguments a, int i) => a.Has(i) && PyNumber.Index(a[i]) != 0;

    private static object?[] Attributes(object? attribute) => attribute is string names ? names.Split(',') : [attribute];

    public static object DictSort(Arguments a)
    {
        if (a.Self is not PyDict dict) throw a.Self is Undefined u ? u.Fault()
            : Fault.Type($"'{Py.TypeName(a.Self)}' object has no attribute 'items'");
        string by = a.Text(1) ?? "key";
        if (by is not ("key" or "value")) throw Fault.Type("You can only sort by either \"key\" or \"value\"");
        int at = by == "key" ? 0 : 1;
        bool caseSensitive = a.Truth(0);
        return new PyList(Sorting.Sort(
            Py.ToList(new DictView(dict, "items")),
            item => ((PyTuple)item!).Items[at] is var value && caseSensitive ? value : IgnoreCase(value),
            Reversed(a, 2)));
    }

    public static object Unique(Run run, Arguments a)
    {
        Func<object?, object?> key = Key(run, a[1], a.Truth(0));
        return Lazy("do_unique", a.Self, () =>
        {
            var seen = new PyDict();
            return Py.ToList(a.Self).Where(item =>
            {
                object? k = key(item);
                if (seen.TryGet(k, out _)) return false;
                seen.Set(k, null);
                return true;
            });
        });
    }

    public static object? Extreme(Run run, Arguments a, int sign)
    {
        Func<object?, object?> key = Key(run, a[1], a.Truth(0));
        object? best = null, bestKey = null;
        bool any = false;
        foreach (object? item in Py.ToList(a.Self))
        {
            object? k = key(item);
            if (!any || PyOperators.Order(sign > 0 ? ">" : "<", k, bestKey) * sign > 0) (best, bestKey) = (item, k);
            any = true;
        }

        return any ? best : Empty("No aggregated item, sequence was empty.");
    }

    public static object GroupBy(Run run, Arguments a)
    {
        bool caseSensitive = a.Truth(2);
        Func<object?, object?> key = Key(run, a[0], caseSensitive, a[1]);
        Func<object?, object?> shown = Getter(run, a[0], a[1]);
        var groups = new List<(object? Key, List<object?> Items)>();
        foreach (object? item in Sorting.Sort(Py.ToList(a.Self), key, reverse: false))
        {
            object? k = key(item);
            if (groups.Count == 0 || !PyOperators.Equal(groups[^1].Key, k)) groups.Add((k, []));
            groups[^1].Items.Add(item);
        }

        return new PyList([.. groups.Select(g => (object?)new PyTuple(
            [caseSensitive ? g.Key : shown(g.Items[0]), new PyList(g.Items)], ["grouper", "list"]))]);
    }

    public static object? Sum(Run run, Arguments a)
    {
        Func<object?, object?> get = Getter(run, a[0]);
        object? sum = a.Or(1, 0L);
        if (sum is string) throw Fault.Type("sum() can't sum strings [use ''.join(seq) instead]");
        foreach (object? item in Py.ToList(a.Self)) sum = PyOperators.Arithmetic("+", sum, get(item));
        return sum;
    }

    public static object Map(Run run, Arguments a)
    {
        Func<object?, object?> apply;
        if (a.Rest.Length == 0 && a.Named.TryGet("attribute", out object? attribute))
        {
            a.Named.TryGet("default", out object? otherwise);
            object? unexpected = a.Named.Keys.FirstOrDefault(k => k is not ("attribute" or "default"));
            if (unexpected is not null) throw Fault.Type($"Unexpected keyword argument {PyRepr.Of(unexpected)}");
            apply = Getter(run, attribute, otherwise);
        }
        else
        {
            string name = a.Rest.Length > 0 ? Py.Str(a.Rest[0]) : throw Fault.Type("map requires a filter argument");
            Native filter = Filters.Find(name, run.Strict) ?? throw Fault.Type($"No filter named '{name}'.");
            var given = new GivenArguments(a.Rest[1..], NamedOf(a));
            apply = item => filter.Invoke(run, item, given);
        }

        return Lazy("sync_do_map", a.Self, () => Each(run, a.Self).Select(apply));
    }

    private static List<KeyValuePair<string, object?>> NamedOf(Arguments a) =>
        [.. a.Named.Pairs.Select(p => new KeyValuePair<string, object?>((string)p.Key!, p.Value))];

    private static IEnumerable<object?> Each(Run run, object? value)
    {
        if (!Py.Truth(value)) yield break;
        foreach (object? item in Py.Iterate(value))
        {
            run.Meter.Step();
            yield return item;
        }
    }

    /// <summary>select, reject and their forms on an attribute: items that pass a test, or are true where none is
    /// named.</summary>
    public static object Select(Run run, Arguments a, bool keep, bool attribute)
    {
        int first = attribute ? 1 : 0;
        if (a.Rest.Length < first) throw Fault.Type("Missing parameter for attribute name");
        Func<object?, object?> get = attribute ? Getter(run, a.Rest[0]) : item => item;
        Func<object?, bool> passes = Py.Truth;
        if (a.Rest.Length > first)
        {
            string name = Py.Str(a.Rest[first]);
            Native test = Tests.Find(name) ?? throw Fault.Type($"No test named '{name}'.");
            var given = new GivenArguments(a.Rest[(first + 1)..], NamedOf(a));
            passes = item => Py.Truth(test.Invoke(run, item, given));
        }

        return Lazy("select_or_reject", a.Self, () => Each(run, a.Self).Where(item => passes(get(item)) == keep));
    }
}

/// <summary>Python's sort: stable, and an error where two keys have no order.</summary>
internal static class Sorting
{
    public static T[] Sort<T>(IReadOnlyList<T> items, Func<T, object?> key, bool reverse)
    {
        (T Item, object? Key)[] entries = [.. items.Select(i => (i, key(i)))];
        Merge(entries, new (T, object?)[entries.Length], 0, entries.Length, reverse);
        return Array.ConvertAll(entries, e => e.Item);
    }

    private static void Merge<T>((T Item, object? Key)[] items, (T, object?)[] spare, int from, int to, bool reverse)
    {
        if (to - from < 2) return;
        int middle = (from + to) / 2;
        Merge(items, spare, from, middle, reverse);
        Merge(items, spare, middle, to, reverse);
        Meter.Current.Step(to - from);
        for (int left = from, right = middle, i = from; i < to; i++)
        {
            bool takeRight = left >= middle || (right < to && Before(items[right].Key, items[left].Key, reverse));
            spare[i] = takeRight ? items[right++] : items[left++];
        }

        Array.Copy(spare, from, items, from, to - from);
    }

    private static bool Before(object? a, object? b, bool reverse) =>
        reverse ? PyOperators.Order("<", b, a) < 0 : PyOperators.Order("<", a, b) < 0;
}
