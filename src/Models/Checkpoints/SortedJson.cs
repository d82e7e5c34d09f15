// JSON as Hugging Face's libraries write it to a model's folder: two blanks of indent, sorted keys, ASCII, and numbers as
// Python spells them, so that a file that goes through us and back differs in nothing.

using System.Collections;
using System.Globalization;
using System.Text;
using System.Text.Json;

namespace PeftAlign.Models.Checkpoints;

/// <summary>Writes configuration files (config.json, adapter_config.json, an index).</summary>
public static class SortedJson
{
    /// <summary>The text without a newline at its end.</summary>
    /// <param name="value">null, bool, string, whole number, float or double, JsonElement, dictionary of these by string, or a sequence of these.</param>
    /// <exception cref="ArgumentException">A value is of another type, or no finite number.</exception>
    public static string Text(object? value)
    {
        var text = new StringBuilder();
        Write(text, value, 0);
        return text.ToString();
    }

    private static void Write(StringBuilder text, object? value, int depth)
    {
        switch (value)
        {
            case null: text.Append("null"); break;
            case bool truth: text.Append(truth ? "true" : "false"); break;
            case string s: QuotedJson.Append(text, s, ascii: true); break;
            case int or long or short or byte: text.Append(Convert.ToInt64(value, CultureInfo.InvariantCulture).ToString(CultureInfo.InvariantCulture)); break;
            case float number: text.Append(Number(number, number.ToString("E8", CultureInfo.InvariantCulture), number.ToString("R", CultureInfo.InvariantCulture))); break;
            case double number: text.Append(Number(number, number.ToString("E16", CultureInfo.InvariantCulture), number.ToString("R", CultureInfo.InvariantCulture))); break;
            case JsonElement element: Write(text, element, depth); break;
            case IEnumerable<KeyValuePair<string, object?>> entries: Dictionary(text, entries, depth); break;
            case IEnumerable items: List(text, items, depth); break;
            default: throw new ArgumentException($"JSON has no form for {value.GetType().Name}");
        }
    }

    private static void Write(StringBuilder text, JsonElement element, int depth)
    {
        switch (element.ValueKind)
        {
            case JsonValueKind.Object: Dictionary(text, element.EnumerateObject().Select(p => KeyValuePair.Create(p.Name, (object?)p.Value)), depth); break;
            case JsonValueKind.Array: List(text, element.EnumerateArray(), depth); break;
            case JsonValueKind.String: QuotedJson.Append(text, element.GetString()!, ascii: true); break;
            default: text.Append(element.GetRawText()); break;
        }
    }

    private static void Dictionary(StringBuilder text, IEnumerable<KeyValuePair<string, object?>> entries, int depth)
    {
        var first = true;
        text.Append('{');
        foreach (var (key, value) in entries.OrderBy(e => e.Key, StringComparer.Ordinal))
        {
            Line(text, first, depth + 1);
            QuotedJson.Append(text, key, ascii: true);
            text.Append(": ");
            Write(text, value, depth + 1);
            first = false;
        }
        if (!first) Line(text, true, depth);
        text.Append('}');
    }

    private static void List(StringBuilder text, IEnumerable items, int depth)
    {
        var first = true;
        text.Append('[');
        foreach (var item in items)
        {
            Line(text, first, depth + 1);
            Write(text, item, depth + 1);
            first = false;
        }
        if (!first) Line(text, true, depth);
        text.Append(']');
    }

    private static void Line(StringBuilder text, bool first, int depth) => text.Append(first ? "\n" : ",\n").Append(' ', 2 * depth);

    /// <summary>Shortest digits that give the number back; from 1e-4 to below 1e16 without an exponent, as Python's repr.</summary>
    private static string Number(double number, string scientific, string shortest)
    {
        if (!double.IsFinite(number)) throw new ArgumentException($"JSON has no form for {shortest}");
        if (number == 0) return double.IsNegative(number) ? "-0.0" : "0.0";
        var exponent = int.Parse(scientific[(scientific.IndexOf('E') + 1)..], CultureInfo.InvariantCulture);
        var digits = new string([.. shortest.Split('E')[0].Where(char.IsAsciiDigit)]).TrimStart('0').TrimEnd('0');
        var sign = number < 0 ? "-" : "";
        if (exponent is < -4 or >= 16) return $"{sign}{digits[0]}{(digits.Length > 1 ? "." + digits[1..] : "")}e{(exponent < 0 ? '-' : '+')}{Math.Abs(exponent):00}";
        if (exponent < 0) return $"{sign}0.{new string('0', -exponent - 1)}{digits}";
        if (digits.Length <= exponent + 1) return $"{sign}{digits.PadRight(exponent + 1, '0')}.0";
        return $"{sign}{digits[..(exponent + 1)]}.{digits[(exponent + 1)..]}";
    }
}
