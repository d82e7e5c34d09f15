// One row of training data, before it is tokenised.

using System.Text.Json;
using System.Text.Json.Nodes;

namespace PeftAlign.Abstractions;

/// <summary>One row: named fields as JSON, and where it came from.</summary>
/// <param name="Fields">prompt, completion, chosen, rejected, label, messages, text, input_ids, labels ... (docs/training.md lists the shapes).</param>
/// <param name="Source">File or generator, for messages.</param>
/// <param name="Row">Row number from 1, for messages.</param>
public sealed record DataRecord(JsonObject Fields, string Source, long Row)
{
    /// <summary>Line of the file, from 1; null where rows are not lines of a file.</summary>
    public long? Line { get; init; }

    /// <summary>Where the row came from, as messages name it: "rows.jsonl, line 7", "synthetic, row 7".</summary>
    public string Place => Line is { } line ? $"{Source}, line {line}" : $"{Source}, row {Row}";

    /// <summary>What a method made of the row in <see cref="IArrangesRecords.Arrange"/>, for its own Prepare; nobody else reads it.</summary>
    public object? Prepared { get; init; }

    /// <summary>Whether the field is there and not null.</summary>
    /// <param name="name">Field name.</param>
    public bool Has(string name) => Fields.TryGetPropertyValue(name, out var node) && node is not null;

    /// <summary>A text field.</summary>
    /// <param name="name">Field name.</param>
    /// <exception cref="UserErrorException">It is missing or not a text.</exception>
    public string Text(string name) =>
        Fields[name] is JsonValue value && value.TryGetValue<string>(out var text) ? text : throw Wrong(name, "a text");

    /// <summary>A field of token ids.</summary>
    /// <param name="name">Field name.</param>
    /// <exception cref="UserErrorException">It is missing or not a list of integers.</exception>
    public int[] Ids(string name)
    {
        if (Fields[name] is not JsonArray array) throw Wrong(name, "a list of token ids");
        try
        {
            // As a whole: of each entry that is looked at the row keeps a node, which takes twenty times what the number does.
            return array.Deserialize<int[]>()!;
        }
        catch (JsonException)
        {
            throw Wrong(name, "a list of token ids");
        }
    }

    /// <summary>The error for a field of the wrong kind.</summary>
    /// <param name="name">Field name.</param>
    /// <param name="wanted">What was expected.</param>
    public UserErrorException Wrong(string name, string wanted) =>
        new($"{Place}: field '{name}' must be {wanted}; the row has {string.Join(", ", Fields.Select(f => f.Key))}.");
}

/// <summary>Reads the records of one format. Where it reads from is an option of its own, marked [OptionNames("path")].</summary>
public interface IDatasetReader
{
    /// <summary>The records, in order. They are read lazily and may be enumerated more than once.</summary>
    /// <param name="split">The split that the manifest asks for; null where it asks for none.</param>
    /// <exception cref="UserErrorException">A row is broken (file and line are named), the file is missing, or there is no such split.</exception>
    IEnumerable<DataRecord> Read(string? split);
}

/// <summary>An option that names a dataset of the manifest; the host opens it through <see cref="IDatasets"/>.</summary>
/// <param name="Definition">The dataset, resolved: its reader with options, path, split.</param>
public sealed record DatasetReference(JsonObject Definition);

/// <summary>Opens datasets that options name; offered to a plugin's instance through GetService.</summary>
public interface IDatasets
{
    /// <summary>The dataset's records, in order.</summary>
    /// <param name="dataset">From the plugin's options.</param>
    IEnumerable<DataRecord> Open(DatasetReference dataset);
}
