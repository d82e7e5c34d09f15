// Compares given options with a schema: unknown keys, one option given twice, wrong types, numbers out of range, texts that are
// not among the choices, required options that are missing. Reports everything at once; valid options come back under their own names, in the form of their type.

using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace PeftAlign.Plugins;

internal static class OptionsChecker
{
    public static (JsonObject Values, IReadOnlyList<OptionFault> Faults) Check(OptionsSchema schema, JsonObject given)
    {
        var values = new JsonObject();
        var faults = new List<OptionFault>();
        foreach (var (key, node) in given)
        {
            if (schema.Find(key) is not { } option)
            {
                faults.Add(new OptionFault(key, $"unknown option '{key}'.{Suggestions.Hint(key.Replace('-', '_'), Spellings(schema))}"));
                continue;
            }
            if (values.ContainsKey(option.Name))
                faults.Add(new OptionFault(key, $"option '{option.Name}' is given twice ('{key}' is another spelling of it); keep one."));
            else
                values[option.Name] = Value(option, option.Type, key, node, faults);
        }
        foreach (var option in schema.Options.Where(option => option.Required && !values.ContainsKey(option.Name)))
            faults.Add(new OptionFault(option.Name, $"option '{option.Name}' is missing; it is {option.Type.Words} and has no default. Give one."));
        foreach (var option in schema.Options.Where(option => option.OnlyWith != "" && values.ContainsKey(option.Name)))
            if (OutOfPlace(schema, option, values) is { } fault) faults.Add(fault);
        return (values, faults);
    }

    // The values with which an option means something are compared as texts: 1 and true are written without quotes. A default beside other
    // values is no fault: plans write all defaults, and have already refused what a user gave.
    private static OptionFault? OutOfPlace(OptionsSchema schema, OptionSchema option, JsonObject values)
    {
        var parts = option.OnlyWith.Split('=', 2);
        var other = schema.Find(parts[0])!;
        var value = values.TryGetPropertyValue(other.Name, out var given) ? given : other.Default;
        string[] texts = value is JsonArray list ? [.. list.Select(Plain)] : [Plain(value)];
        if (JsonNode.DeepEquals(values[option.Name], option.Default)) return null;
        // No values listed: any value will do.
        if (parts is not [_, { Length: > 0 } wanted])
            return value is null ? new OptionFault(option.Name, $"option '{option.Name}' means nothing without {other.Name}. Leave it out or give {other.Name}.") : null;
        return texts.Any(text => wanted.Split('|').Any(asked => IsMeant(asked, text))) ? null
            : new OptionFault(option.Name, $"option '{option.Name}' means nothing with {other.Name} {string.Join(", ", texts)}; it goes with {other.Name} {wanted.Replace("|", " or ")}. Leave it out or change {other.Name}.");
    }

    // A text, or a bound: ">0" is every number above 0.
    private static bool IsMeant(string asked, string text) => asked == text
        || (asked is ['>', .. var bound] && double.TryParse(bound, CultureInfo.InvariantCulture, out var least) && double.TryParse(text, CultureInfo.InvariantCulture, out var number) && number > least);

    private static string Plain(JsonNode? node) => node is null ? "null" : node.GetValueKind() == JsonValueKind.String ? node.GetValue<string>() : node.ToJsonString();

    private static string[] Spellings(OptionsSchema schema) => [.. schema.Options.Select(option => option.Name), .. schema.Options.SelectMany(option => option.Aliases)];

    private static JsonNode? Value(OptionSchema option, OptionType type, string key, JsonNode? node, List<OptionFault> faults)
    {
        if (type.Kind == OptionKind.Json) return node?.DeepClone();
        if (node is null)
        {
            if (!type.Nullable || option.Required) faults.Add(new OptionFault(key, $"option '{key}' has no value; it is {type.Words}. Give one{(option.Required ? "" : " or leave the option out")}."));
            return null;
        }
        return type.Kind switch
        {
            OptionKind.List => List(option, type, key, node, faults),
            OptionKind.Map => Map(option, type, key, node, faults),
            _ => Scalar(option, type, key, node, faults),
        };
    }

    private static JsonArray List(OptionSchema option, OptionType type, string key, JsonNode node, List<OptionFault> faults)
    {
        if (node is not JsonArray array) return [Value(option, type.Element!, key, node, faults)];
        var values = new JsonArray();
        for (var k = 0; k < array.Count; k++) values.Add(Value(option, type.Element!, $"{key}[{k}]", array[k], faults));
        return values;
    }

    private static JsonObject? Map(OptionSchema option, OptionType type, string key, JsonNode node, List<OptionFault> faults)
    {
        if (node is not JsonObject map)
        {
            faults.Add(Wrong(type, key, node));
            return null;
        }
        var values = new JsonObject();
        foreach (var (name, value) in map) values[name] = Value(option, type.Element!, $"{key}.{name}", value, faults);
        return values;
    }

    private static JsonNode? Scalar(OptionSchema option, OptionType type, string key, JsonNode node, List<OptionFault> faults)
    {
        double? number = type.Kind switch
        {
            OptionKind.Double => Numbers.Double(node),
            OptionKind.Int or OptionKind.Long => Numbers.Long(node),
            _ => null,
        };
        JsonNode? value = type.Kind switch
        {
            OptionKind.Bool => node.GetValueKind() is JsonValueKind.True or JsonValueKind.False ? node.DeepClone() : null,
            OptionKind.String => node.GetValueKind() == JsonValueKind.String ? node.DeepClone() : null,
            OptionKind.Dataset or OptionKind.Model or OptionKind.Judge => node is JsonObject ? node.DeepClone() : null,
            OptionKind.Double => number is { } d ? Numbers.ToJson(d) : null,
            _ => Numbers.Long(node) is { } n ? JsonValue.Create(n) : null,
        };
        var fault = value is null ? Wrong(type, key, node) : Limits(option, type, key, value, number);
        if (fault is not null) faults.Add(fault);
        return value;
    }

    private static OptionFault? Limits(OptionSchema option, OptionType type, string key, JsonNode value, double? number)
    {
        if (option.Choices.Count > 0 && type.Kind == OptionKind.String && value.GetValue<string>() is var text && !option.Choices.Contains(text))
            return new OptionFault(key, $"option '{key}' cannot be '{text}'.{Suggestions.Hint(text, [.. option.Choices])}");
        if (number is not { } n) return null;
        if (type.Kind == OptionKind.Int && n is < int.MinValue or > int.MaxValue)
            return new OptionFault(key, $"option '{key}' is {Numbers.Show(n)}; it is at most {int.MaxValue} in size.");
        var low = option.Minimum is { } minimum && (option.ExclusiveMinimum ? n <= minimum : n < minimum);
        if (low || n > option.Maximum || (option.ExclusiveMaximum && n == option.Maximum))
            return new OptionFault(key, $"option '{key}' is {Numbers.Show(n)}; it must be {option.RangeText}.");
        return null;
    }

    private static OptionFault Wrong(OptionType type, string key, JsonNode node)
    {
        var given = node switch
        {
            JsonArray => "a list",
            JsonObject => "a map",
            JsonValue value when Numbers.OutsideJson(value) is { } number => Numbers.Show(number),
            _ => node.ToJsonString(),
        };
        return new OptionFault(key, $"option '{key}' must be {type.Words}, but is {given}.");
    }
}
