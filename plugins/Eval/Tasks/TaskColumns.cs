// The rows of a split as datasets (5.2) gives them to lm-evaluation-harness: each row has every column, with null where its file says
// nothing, and a column has one type, which decides how its numbers and dates print.

using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using PeftAlign.Eval.Files;
using PeftAlign.Models.Rows;

namespace PeftAlign.Eval.Tasks;

internal static partial class TaskColumns
{
    /// <summary>The rows of a split's files.</summary>
    /// <param name="paths">The files, in order.</param>
    /// <param name="csv">Whether they are CSV; else JSON lines or JSON lists.</param>
    /// <exception cref="Abstractions.UserErrorException">A file is missing or broken; file and line are named.</exception>
    internal static IReadOnlyList<JsonObject> Read(IReadOnlyList<string> paths, bool csv)
    {
        List<JsonObject> rows = [.. paths.SelectMany(path => csv ? RowFile.Cells(path) : RowFile.Read(path, csv: false))];
        List<string> names = [.. rows.SelectMany(row => row.Select(f => f.Key)).Distinct()];
        List<IReadOnlyList<JsonNode?>> columns = [.. names.Select(name => rows.ConvertAll(row => row[name])).Select(column => csv ? CsvColumn.Typed(column.ConvertAll(c => (string?)c)) : Typed(column, nested: false))];
        return [.. rows.Select((_, k) => new JsonObject(names.Select((name, c) => KeyValuePair.Create(name, Free(columns[c][k])))))];
    }

    /// <summary>A floating-point number as JSON: its point or exponent says that it is no whole one.</summary>
    internal static JsonNode Float(double value)
    {
        if (!double.IsFinite(value)) return value > 0 ? "inf" : "-inf"; // JSON has none; Python prints this
        var text = value.ToString("R", CultureInfo.InvariantCulture);
        return JsonNode.Parse(text.AsSpan().ContainsAny(".E") ? text : text + ".0")!;
    }

    // The values at one place of all rows; null is of every type.
    private static IReadOnlyList<JsonNode?> Typed(IReadOnlyList<JsonNode?> values, bool nested) =>
        values.OfType<JsonNode>().Select(v => v.GetValueKind() is var kind && kind == JsonValueKind.False ? JsonValueKind.True : kind).Distinct().ToList() switch
        {
            [] or [JsonValueKind.True] => values,
            [JsonValueKind.Number] => Numbers(values),
            [JsonValueKind.String] => nested ? values : Dates(values),
            [JsonValueKind.Array] => Lists(values),
            [JsonValueKind.Object] => Objects(values),
            _ => [.. values.Select(OfMixed)],
        };

    // One number that is not whole, or too large, makes all of them floating-point numbers.
    private static IReadOnlyList<JsonNode?> Numbers(IReadOnlyList<JsonNode?> values) =>
        values.OfType<JsonNode>().All(v => long.TryParse(v.ToJsonString(), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out _)) ? values
        : [.. values.Select(v => v is null ? null : Float(double.Parse(v.ToJsonString(), CultureInfo.InvariantCulture)))];

    private static JsonNode?[] Lists(IReadOnlyList<JsonNode?> values)
    {
        var (items, at) = (Typed([.. values.OfType<JsonArray>().SelectMany(list => list)], nested: true), 0);
        return [.. values.Select(v => v is JsonArray list ? new JsonArray([.. list.Select(_ => Free(items[at++]))]) : null)];
    }

    // Objects of different keys have no type in common and stay as they are; else the first says the order.
    private static IReadOnlyList<JsonNode?> Objects(IReadOnlyList<JsonNode?> values)
    {
        List<JsonObject> held = [.. values.OfType<JsonObject>()];
        List<string> keys = [.. held[0].Select(f => f.Key)];
        if (keys.Count == 0 || held.Any(o => o.Count != keys.Count || !keys.All(o.ContainsKey))) return values;
        List<IReadOnlyList<JsonNode?>> fields = [.. keys.Select(key => Typed(held.ConvertAll(o => o[key]), nested: true))];
        var row = 0;
        return [.. values.Select(v => v is null ? null : new JsonObject(Row(row++)))];
        IEnumerable<KeyValuePair<string, JsonNode?>> Row(int at) => keys.Select((key, c) => KeyValuePair.Create(key, Free(fields[c][at])));
    }

    // A column of several types is kept as JSON, where a text that is JSON itself is read as what it says.
    private static JsonNode? OfMixed(JsonNode? value)
    {
        if (value is not JsonValue single || !single.TryGetValue<string>(out var text)) return value;
        try
        {
            return RowJson.Parse(text);
        }
        catch (JsonException)
        {
            return value;
        }
    }

    // Texts that are all dates are read as such, and print in one form.
    private static IReadOnlyList<JsonNode?> Dates(IReadOnlyList<JsonNode?> values)
    {
        List<JsonNode?> read = [.. values.Select(v => v is null ? null : Date((string)v!) is { } date ? (JsonNode)date : null)];
        return read.Where((date, k) => date is null && values[k] is not null).Any() ? values : read;
    }

    private static string? Date(string text)
    {
        if (Iso().Match(text) is not { Success: true } match) return null;
        int Part(string name) => match.Groups[name] is { Success: true } group ? int.Parse(group.ValueSpan, CultureInfo.InvariantCulture) : 0;
        if (!DateTime.TryParseExact($"{match.Groups["day"]} {Part("h"):00}:{Part("m"):00}:{Part("s"):00}", "yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture, DateTimeStyles.None, out var local)) return null;
        var ticks = local.Ticks - (match.Groups["sign"].Value == "-" ? -1 : 1) * new TimeSpan(Part("zh"), Part("zm"), 0).Ticks;
        return ticks < DateTime.MinValue.Ticks || ticks > DateTime.MaxValue.Ticks ? null : new DateTime(ticks).ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture);
    }

    // A node belongs to one place.
    private static JsonNode? Free(JsonNode? node) => node?.Parent is null ? node : node.DeepClone();

    [GeneratedRegex(@"^(?<day>[0-9]{4}-[0-9]{2}-[0-9]{2})(?:[ T](?<h>[0-9]{2})(?::(?<m>[0-9]{2})(?::(?<s>[0-9]{2}))?)?(?:Z|(?<sign>[+-])(?<zh>[0-9]{2})(?::?(?<zm>[0-9]{2}))?)?)?\z", RegexOptions.CultureInvariant)]
    private static partial Regex Iso();
}
