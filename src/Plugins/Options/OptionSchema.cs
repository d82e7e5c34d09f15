// What is known of one option: name, type, limits, docs. Comes from the options class at build, from plugin.json afterwards.

using System.Text.Json.Nodes;

namespace PeftAlign.Plugins;

/// <summary>One option.</summary>
/// <param name="Name">In snake_case, as manifests write it.</param>
/// <param name="Type">Its type.</param>
/// <param name="Default">The value where none is given; null for null and for an option that must be given.</param>
public sealed record OptionSchema(string Name, OptionType Type, JsonNode? Default)
{
    /// <summary>Smallest allowed number (of each element, for lists and maps); null for no limit.</summary>
    public double? Minimum { get; init; }

    /// <summary>True if <see cref="Minimum"/> itself is not allowed.</summary>
    public bool ExclusiveMinimum { get; init; }

    /// <summary>Largest allowed number; null for no limit.</summary>
    public double? Maximum { get; init; }

    /// <summary>True if <see cref="Maximum"/> itself is not allowed.</summary>
    public bool ExclusiveMaximum { get; init; }

    /// <summary>The allowed texts; empty where every text is allowed.</summary>
    public IReadOnlyList<string> Choices { get; init; } = [];

    /// <summary>Further spellings.</summary>
    public IReadOnlyList<string> Aliases { get; init; } = [];

    /// <summary>What a text, or each text of a list or map, names: "path", "model", "dataset", "judge", or empty for plain text.</summary>
    public string Names { get; init; } = "";

    /// <summary>True where it must be given and not be null.</summary>
    public bool Required { get; init; }

    /// <summary>True for a list that must hold something where it is given.</summary>
    public bool Filled { get; init; }

    /// <summary>True where it cannot change a result and is no part of a job's identity.</summary>
    public bool Recorded { get; init; }

    /// <summary>Of a merge strategy: a list with one value per model, which users give for each model or once for all.</summary>
    public bool PerModel { get; init; }

    /// <summary>Another option and the values with which this one means something, like "loss_type=sft|dft"; empty for always.</summary>
    public string OnlyWith { get; init; } = "";

    /// <summary>Summary of the property's XML docs; may be empty.</summary>
    public string Docs { get; init; } = "";

    /// <summary>"at least 0", "more than 0 and at most 1", "at least 0 and less than 1"; empty where there is no limit.</summary>
    public string RangeText
    {
        get
        {
            var low = Minimum is { } minimum ? $"{(ExclusiveMinimum ? "more than" : "at least")} {Numbers.Show(minimum)}" : null;
            var high = Maximum is { } maximum ? $"{(ExclusiveMaximum ? "less than" : "at most")} {Numbers.Show(maximum)}" : null;
            return string.Join(" and ", new[] { low, high }.OfType<string>());
        }
    }

    /// <summary>Whether a key of a manifest means this option.</summary>
    /// <param name="key">A key; "lora-alpha" and "lora_alpha" are one.</param>
    public bool Answers(string key)
    {
        var plain = key.Replace('-', '_');
        return plain == Name || Aliases.Contains(plain);
    }
}

/// <summary>One fault of given options.</summary>
/// <param name="Key">The key as the user wrote it, with an index or a key of a map where the fault is inside: "targets[1]".</param>
/// <param name="Message">What is wrong, what is allowed, what to do.</param>
public sealed record OptionFault(string Key, string Message);
