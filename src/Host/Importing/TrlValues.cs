// Values of TRL's configurations by what their key takes. PyYAML reads them by YAML 1.1, where yes and on are truth values, 1_000 and
// 010 integers, and 1e-5 a text; transformers' argument parser then turns texts into what the key's field is.

using System.Globalization;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using PeftAlign.Core;
using PeftAlign.Plugins;

namespace PeftAlign.Host.Importing;

internal static partial class TrlValues
{
    /// <summary>A value as it is written, for keys that take anything; null for null.</summary>
    internal static JsonNode? Plain(DocumentNode node) => node.Kind switch
    {
        "nothing" => null,
        "boolean" => Truth(node),
        "number" => Number(node) ?? node.Text,
        "list" => new JsonArray([.. node.Items.Select(Plain)]),
        "mapping" => new JsonObject(node.Entries.Select(e => KeyValuePair.Create(e.Key, Plain(e.Value)))),
        _ => node.Text,
    };

    /// <summary>True or false by YAML 1.1, by transformers' string_to_bool, or as Python takes 0 and 1; null for everything else.</summary>
    internal static bool? Truth(DocumentNode node) => node.Kind is not ("boolean" or "text" or "number") ? null : node.Text.ToLowerInvariant() switch
    {
        "true" or "yes" or "on" or "t" or "y" or "1" => true,
        "false" or "no" or "off" or "f" or "n" or "0" => false,
        _ => null,
    };

    /// <summary>A finite number: an integer of 64 bits, or a double; null for everything else.</summary>
    internal static JsonNode? Number(DocumentNode node)
    {
        if (node.Kind is not ("number" or "text")) return null;
        // In quotes 010 is a text, which Python's int takes for ten.
        var text = node.Text.Trim();
        if (Octal().IsMatch(text) && (node.Kind == "number" || text.Contains('_'))) return Based(text, 8);
        if (Binary().IsMatch(text)) return Based(text, 2);
        if (Hexadecimal().IsMatch(text)) return Based(text, 16);
        if (Sexagesimal().IsMatch(text)) return Sixties(text);
        if (!Decimal().IsMatch(text)) return null;
        var digits = text.Replace("_", "", StringComparison.Ordinal);
        if (long.TryParse(digits, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var whole)) return whole;
        return double.TryParse(digits, NumberStyles.Float, CultureInfo.InvariantCulture, out var real) && double.IsFinite(real) ? real : null;
    }

    /// <summary>What an option of this type takes; null where it is none of its values.</summary>
    internal static JsonNode? As(OptionType type, DocumentNode node) => type.Kind switch
    {
        OptionKind.Bool => Truth(node),
        OptionKind.Int or OptionKind.Long or OptionKind.Double => Number(node),
        OptionKind.List when node.Kind != "list" => As(type.Element!, node),
        OptionKind.List => node.Items.Select(item => As(type.Element!, item)).ToList() is var items && items.Any(item => item is null) ? null : new JsonArray([.. items]),
        _ => Plain(node),
    };

    private static JsonNode? Based(string text, int radix)
    {
        var digits = text.TrimStart('-', '+').Replace("_", "", StringComparison.Ordinal);
        digits = digits.Length > 1 && digits[1] is 'x' or 'b' ? digits[2..] : digits;
        var sum = digits.Aggregate((UInt128)0, (sum, digit) => sum > long.MaxValue ? sum : sum * (uint)radix + (uint)Convert.ToInt32(digit.ToString(), 16));
        if (sum > long.MaxValue) return null;
        return text[0] == '-' ? -(long)sum : (long)sum;
    }

    private static JsonNode? Sixties(string text)
    {
        var sum = text.TrimStart('-', '+').Replace("_", "", StringComparison.Ordinal).Split(':').Aggregate(0.0, (sum, part) => sum * 60 + double.Parse(part, CultureInfo.InvariantCulture));
        return sum >= 1e15 ? null : text[0] == '-' ? -(long)sum : (long)sum;
    }

    [GeneratedRegex("^[-+]?0[0-7_]+$")]
    private static partial Regex Octal();

    [GeneratedRegex("^[-+]?0b[01_]*[01]$")]
    private static partial Regex Binary();

    [GeneratedRegex("^[-+]?0x[0-9a-fA-F_]*[0-9a-fA-F]$")]
    private static partial Regex Hexadecimal();

    [GeneratedRegex("^[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+$")]
    private static partial Regex Sexagesimal();

    [GeneratedRegex(@"^[-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?$")]
    private static partial Regex Decimal();
}
