// Reads settings of parameters, with the types and limits that the strategy declares.

using System.Globalization;
using System.Text.Json.Nodes;
using PeftAlign.Core;
using PeftAlign.Plugins;
using OptionSchema = PeftAlign.Plugins.OptionSchema;

namespace PeftAlign.Merging;

/// <param name="method">The strategy's name, for messages.</param>
/// <param name="schema">Its parameters.</param>
/// <param name="faults">Where mistakes go.</param>
internal sealed class SettingReader(string method, OptionsSchema schema, MergeFaults faults)
{
    /// <summary>Reads a mapping of parameters.</summary>
    /// <param name="node">Null for none.</param>
    /// <param name="ofModel">True for the parameters of a model of a list, among which those of the whole merge have no place.</param>
    public Settings Read(DocumentNode? node, bool ofModel)
    {
        if (node is null || node.Kind == "nothing") return Settings.None;
        if (!faults.IsMapping(node, "parameters")) return Settings.None;
        var settings = new Dictionary<string, Setting>();
        foreach (var entry in node.Entries)
        {
            var at = new Spot(entry.Line, entry.Column);
            if (schema.Find(entry.Key) is not { } option)
                faults.Add(at, $"{method} has no parameter '{entry.Key}'.{Suggestions.Hint(entry.Key, [.. schema.Options.Select(o => o.Name)])}");
            else if (ofModel && !option.PerModel)
                faults.Add(at, $"'{entry.Key}' belongs to the whole merge, not to one model; move it to the parameters of the slice or of the file.");
            else if (Read(option, entry.Value, entry.Key) is { } setting)
                settings[option.Name] = setting;
        }
        return new Settings(settings);
    }

    private Setting? Read(OptionSchema option, DocumentNode node, string name)
    {
        var at = MergeFaults.Of(node);
        if (node.Kind == "list" && node.Items.Any(item => item.Kind == "mapping"))
        {
            var cases = node.Items.Select(item => Case(option, item, name)).ToList();
            return cases.Contains(null) ? null : new Filtered([.. cases.Select(c => c!)], at);
        }
        if (node.Kind == "mapping") return Case(option, node, name) is { } one ? new Filtered([one], at) : null;
        return Values(option, node, name);
    }

    private Setting? Values(OptionSchema option, DocumentNode node, string name)
    {
        var at = MergeFaults.Of(node);
        if (node.Kind != "list") return Value(option, node, name) is { } value ? new Plain(value, at) : null;
        if (node.Items.Count == 0)
        {
            faults.Add(at, $"{name}: an empty list has no value; give one, or leave the parameter out.");
            return null;
        }
        var values = node.Items.Select(item => Value(option, item, name)).ToList();
        return values.Contains(null) ? null : new Gradient([.. values.Select(v => v!)], Scalar(option), at);
    }

    private Filtered.Case? Case(OptionSchema option, DocumentNode node, string name)
    {
        if (!faults.IsMapping(node, name)) return null;
        faults.OnlyKeys(node, name, "filter", "value");
        if (node.Find("value") is not { } value)
        {
            faults.Add(MergeFaults.Of(node), $"{name}: an entry with a filter needs a value.");
            return null;
        }
        var filter = node.Find("filter") is { Kind: not "nothing" } text ? text.Text : null;
        // An empty list means: no value from here on this filter.
        if (value is { Kind: "list", Items.Count: 0 }) return new Filtered.Case(filter, null, MergeFaults.Of(node));
        return Values(option, value, name) is { } setting ? new Filtered.Case(filter, setting, MergeFaults.Of(node)) : null;
    }

    private static OptionType Scalar(OptionSchema option) => option.Type.Element ?? option.Type;

    // mergekit reads YAML 1.1, where yes, no, on and off are truth values, and turns texts into numbers.
    private JsonNode? Value(OptionSchema option, DocumentNode node, string name)
    {
        var type = Scalar(option);
        JsonNode? value = type.Kind switch
        {
            OptionKind.Bool => Flag(node) is { } flag ? flag : null,
            OptionKind.Double => Number(node) is { } number && double.IsFinite(number) ? number : null,
            OptionKind.Int or OptionKind.Long => Number(node) is { } number && number == Math.Truncate(number) && Math.Abs(number) < 1e15 ? (long)number : null,
            _ => option.Name == "rescale" && Flag(node) is { } rescale ? (rescale ? "l1" : "off") : node.Text,
        };
        if (value is null)
        {
            faults.Add(MergeFaults.Of(node), $"{name} must be {(type.Kind == OptionKind.Double ? "a finite number" : type.Words)}, but is {MergeFaults.Shown(node)}.");
            return null;
        }
        if (Limit(option, value) is not { } limit) return value;
        faults.Add(MergeFaults.Of(node), $"{name} is {node.Text}; it must be {limit}.");
        return null;
    }

    private static string? Limit(OptionSchema option, JsonNode value)
    {
        if (option.Choices.Count > 0 && value.GetValueKind() == System.Text.Json.JsonValueKind.String && !option.Choices.Contains(value.GetValue<string>()))
            return $"one of {string.Join(", ", option.Choices)}";
        if (value.GetValueKind() != System.Text.Json.JsonValueKind.Number) return null;
        var number = Numbers.Double(value)!.Value;
        var low = option.Minimum is { } minimum && (option.ExclusiveMinimum ? number <= minimum : number < minimum);
        return low || number > option.Maximum ? option.RangeText : null;
    }

    // pydantic's words for truth values, of which mergekit-evolve writes 1.0 and 0.0.
    internal static bool? Flag(DocumentNode node) => (node.Kind == "number" ? node.Number.ToString(CultureInfo.InvariantCulture) : node.Text.ToLowerInvariant()) switch
    {
        "true" or "yes" or "on" or "t" or "y" or "1" => true,
        "false" or "no" or "off" or "f" or "n" or "0" => false,
        _ => null,
    };

    private static double? Number(DocumentNode node)
    {
        if (!double.IsNaN(node.Number)) return node.Number;
        return node.Kind == "text" && double.TryParse(node.Text, NumberStyles.Float, CultureInfo.InvariantCulture, out var number) ? number : null;
    }
}
