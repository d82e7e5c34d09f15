// JSON in and out: JsonElement to template values, and json.dumps with the four options that the tojson filter has.
using System.Globalization;
using System.Numerics;
using System.Text;
using System.Text.Json;

namespace PeftAlign.Models.Templates.Jinja;

internal static class PyJson
{
    /// <summary>The value of a JSON element; numbers without point and exponent are whole, of a repeated key the last
    /// counts.</summary>
    public static object? Value(JsonElement element)
    {
        switch (element.ValueKind)
        {
            case JsonValueKind.Object:
                var dict = new PyDict();
                foreach (JsonProperty property in element.EnumerateObject()) dict.Set(property.Name, Value(property.Value));
                return dict;
            case JsonValueKind.Array: return new PyList([.. element.EnumerateArray().Select(Value)]);
            case JsonValueKind.String: return element.GetString();
            case JsonValueKind.Number: return Number(element.GetRawText());
            case JsonValueKind.True: return true;
            case JsonValueKind.False: return false;
            default: return null;
        }
    }

    private static object Number(string text)
    {
        if (text.AsSpan().ContainsAny(".eE")) return double.Parse(text, NumberStyles.Float, CultureInfo.InvariantCulture);
        if (text.Length > PyNumber.MaxDigits)
            throw Fault.Value($"a number of {text.Length} digits; the limit is {PyNumber.MaxDigits}");
        return PyNumber.Normal(BigInteger.Parse(text, CultureInfo.InvariantCulture));
    }

    /// <summary>json.dumps; the defaults are those of chat templates (no escapes beyond JSON's own).</summary>
    internal sealed class Writer(bool ensureAscii, string? indent, string itemSeparator, string keySeparator, bool sortKeys)
    {
        private readonly StringBuilder text = new();

        public string Write(object? value)
        {
            Append(value, 0);
            return text.ToString();
        }

        private void Append(object? value, int depth)
        {
            Meter.Current.Step();
            int before = text.Length;
            switch (value)
            {
                case null: text.Append("null"); break;
                case bool b: text.Append(b ? "true" : "false"); break;
                case long or BigInteger: text.Append(PyRepr.Of(value)); break;
                case double d: text.Append(Float(d)); break;
                case string s: AppendText(s); break;
                case SafeText s: AppendText(s.Text); break;
                case PyList list: AppendAll('[', list.Items, Append, ']', depth); return;
                case PyTuple tuple: AppendAll('[', tuple.Items, Append, ']', depth); return;
                case PyDict dict: AppendAll('{', Entries(dict), AppendEntry, '}', depth); return;
                default: throw Fault.Type($"Object of type {Py.TypeName(value)} is not JSON serializable");
            }

            Meter.Current.Characters(text.Length - before);
        }

        private void AppendAll<T>(char open, IReadOnlyCollection<T> items, Action<T, int> append, char close, int depth)
        {
            text.Append(open);
            int left = items.Count;
            foreach (T item in items)
            {
                NewLine(depth + 1);
                append(item, depth + 1);
                if (--left > 0) text.Append(indent is null ? itemSeparator : itemSeparator.TrimEnd(' '));
            }

            if (items.Count > 0) NewLine(depth);
            text.Append(close);
        }

        private void NewLine(int depth)
        {
            if (indent is null) return;
            Meter.Current.Characters(1 + ((long)indent.Length * depth));
            text.Append('\n').Insert(text.Length, indent, depth);
        }

        private KeyValuePair<object?, object?>[] Entries(PyDict dict)
        {
            KeyValuePair<object?, object?>[] pairs = [.. dict.Pairs];
            if (sortKeys) pairs = [.. Sorting.Sort(pairs, p => p.Key, reverse: false)];
            return pairs;
        }

        private void AppendEntry(KeyValuePair<object?, object?> entry, int depth)
        {
            AppendText(entry.Key switch
            {
                string s => s,
                null => "null",
                bool b => b ? "true" : "false",
                double d => Float(d),
                long or BigInteger => PyRepr.Of(entry.Key),
                _ => throw Fault.Type($"keys must be str, int, float, bool or None, not {Py.TypeName(entry.Key)}"),
            });
            text.Append(keySeparator);
            Append(entry.Value, depth);
        }

        private static string Float(double d) => double.IsNaN(d) ? "NaN"
            : double.IsInfinity(d) ? (d > 0 ? "Infinity" : "-Infinity") : PyRepr.Float(d);

        private void AppendText(string value)
        {
            text.Append('"');
            foreach (char c in value)
            {
                int known = "\"\\\b\f\n\r\t".IndexOf(c);
                if (known >= 0) text.Append('\\').Append("\"\\bfnrt"[known]);
                else if (c < ' ' || (ensureAscii && c > '~')) text.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:x4}");
                else text.Append(c);
            }

            text.Append('"');
        }
    }
}
