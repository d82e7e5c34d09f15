// A C# plugin with two readers: one makes records of words, one reads YAML with a private dependency.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using YamlDotNet.Serialization;

[assembly: PeftAlignPlugin(typeof(Sample.Words.WordsPlugin))]

namespace Sample.Words;

/// <summary>Registers the readers.</summary>
public sealed class WordsPlugin : IPlugin
{
    /// <inheritdoc/>
    public void Register(IPluginRegistry registry)
    {
        if (Environment.GetEnvironmentVariable("PEFTALIGN_TEST_REGISTER") is { } fault) throw new InvalidOperationException(fault);
        registry.Add<IDatasetReader, WordsOptions>("words", 3, (context, options) => new WordsReader(context, options));
        registry.Add<IDatasetReader, YamlOptions>("yaml-rows", 1, (_, options) => new YamlReader(options.Path));
    }
}

/// <summary>Spellings of a word's ending.</summary>
public enum Ending
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>A full stop.</summary>
    FullStop,
}

/// <summary>Options that a family of readers shares.</summary>
public abstract class CommonOptions
{
    /// <summary>How many records at most; null for all.</summary>
    [OptionRange(1)]
    public int? Most { get; set; }
}

/// <summary>Makes records from a list of words.</summary>
public sealed class WordsOptions : CommonOptions
{
    /// <summary>The words, in order; see <see cref="CommonOptions.Most"/>.</summary>
    [OptionAlias("vocabulary")]
    public IReadOnlyList<string> Words { get; set; } = ["one", "two"];

    /// <summary>A share.</summary>
    [OptionRange(0, 1, ExclusiveMinimum = true)]
    public double Share { get; set; } = 0.5;

    /// <summary>What follows a word.</summary>
    public Ending Ending { get; set; } = Ending.FullStop;

    /// <summary>Field of the record.</summary>
    [OptionChoices("text", "prompt", "completion")]
    public string Field { get; set; } = "text";

    /// <summary>Weights by word.</summary>
    [OptionRange(0)]
    public Dictionary<string, double> Weights { get; set; } = [];

    /// <summary>Passed on as it is.</summary>
    public JsonNode? Extra { get; set; }

    /// <summary>Whether to fail while the reader is made.</summary>
    public bool Fail { get; set; }

    /// <summary>A number of 64 bits.</summary>
    public long Large { get; set; } = 1L << 40;
}

/// <summary>A list of maps in YAML.</summary>
public sealed class YamlOptions
{
    /// <summary>The file.</summary>
    [OptionRequired]
    [OptionNames("path")]
    public string Path { get; set; } = "";
}

internal sealed class WordsReader : IDatasetReader
{
    private readonly IPluginContext context;
    private readonly WordsOptions options;

    public WordsReader(IPluginContext context, WordsOptions options)
    {
        if (options.Fail) throw new ArgumentException("asked to fail");
        this.context = context;
        this.options = options;
    }

    public IEnumerable<DataRecord> Read(string? split)
    {
        var row = 0;
        foreach (var word in options.Words.Take(options.Most ?? int.MaxValue))
        {
            var fields = new JsonObject
            {
                [options.Field] = word + (options.Ending == Ending.FullStop ? "." : ""),
                ["weight"] = options.Weights.GetValueOrDefault(word, options.Share),
                ["extra"] = options.Extra?.DeepClone(),
            };
            yield return new DataRecord(fields, context.Folder, ++row);
        }
    }
}

internal sealed class YamlReader(string path) : IDatasetReader
{
    public IEnumerable<DataRecord> Read(string? split)
    {
        var rows = new DeserializerBuilder().Build().Deserialize<List<Dictionary<string, string>>>(File.ReadAllText(path));
        return rows.Select((row, k) => new DataRecord(new JsonObject(row.Select(field => KeyValuePair.Create(field.Key, (JsonNode?)field.Value))), path, k + 1));
    }
}
