// Types of options: scalars, lists and maps of scalars, free JSON. Written in plugin.json as "int", "double?", "list<string>".

namespace PeftAlign.Plugins;

/// <summary>Kinds of option type.</summary>
public enum OptionKind
{
    /// <summary>true or false.</summary>
    Bool,

    /// <summary>A whole number of 32 bits.</summary>
    Int,

    /// <summary>A whole number of 64 bits.</summary>
    Long,

    /// <summary>A number; "inf" and "-inf" are allowed, NaN is not.</summary>
    Double,

    /// <summary>A text, or one of the option's choices.</summary>
    String,

    /// <summary>A dataset of the manifest, by name; the plugin gets it resolved.</summary>
    Dataset,

    /// <summary>A model of the manifest, by name; the plugin gets it resolved.</summary>
    Model,

    /// <summary>A judge of the manifest, by name; the plugin gets it resolved.</summary>
    Judge,

    /// <summary>Anything.</summary>
    Json,

    /// <summary>A list of scalars; a single scalar stands for a list of one.</summary>
    List,

    /// <summary>Scalars by name.</summary>
    Map,
}

/// <summary>The type of an option.</summary>
/// <param name="Kind">Scalar, list or map.</param>
/// <param name="Nullable">Whether null is a value.</param>
/// <param name="Element">Type of a list's or map's elements; null for scalars.</param>
public sealed record OptionType(OptionKind Kind, bool Nullable = false, OptionType? Element = null)
{
    /// <summary>As plugin.json writes it.</summary>
    public override string ToString() =>
        (Element is null ? Word(Kind) : $"{Word(Kind)}<{Element}>") + (Nullable ? "?" : "");

    /// <summary>Reads what <see cref="ToString"/> wrote; null where it is no type.</summary>
    /// <param name="text">For instance "list&lt;double&gt;?".</param>
    public static OptionType? Parse(string text)
    {
        var nullable = text.EndsWith('?');
        var plain = nullable ? text[..^1] : text;
        var open = plain.IndexOf('<');
        if (open < 0) return Scalar(plain) is { } kind ? new OptionType(kind, nullable) : null;
        if (!plain.EndsWith('>') || Parse(plain[(open + 1)..^1]) is not { Element: null } element) return null;
        return plain[..open] switch
        {
            "list" => new OptionType(OptionKind.List, nullable, element),
            "map" => new OptionType(OptionKind.Map, nullable, element),
            _ => null,
        };
    }

    /// <summary>As a sentence says it: "a whole number".</summary>
    internal string Words => Kind switch
    {
        OptionKind.Bool => "true or false",
        OptionKind.Int or OptionKind.Long => "a whole number",
        OptionKind.Double => "a number",
        OptionKind.String => "a text",
        OptionKind.Dataset => "the name of a dataset",
        OptionKind.Model => "the name of a model",
        OptionKind.Judge => "the name of a judge",
        OptionKind.List => $"a list, each element {Element!.Words}",
        OptionKind.Map => $"a map of names, each value {Element!.Words}",
        _ => "any value",
    };

    private static string Word(OptionKind kind) => kind.ToString().ToLowerInvariant();

    private static OptionKind? Scalar(string word) =>
        Enum.GetValues<OptionKind>().Where(kind => kind is not (OptionKind.List or OptionKind.Map) && Word(kind) == word).Cast<OptionKind?>().FirstOrDefault();
}
