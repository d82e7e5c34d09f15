// What a job works with: its spec and folder, the plugins, the data sets, and its connection to the executor.

using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using PeftAlign.Abstractions;
using PeftAlign.Host.Inference;
using PeftAlign.Models.Decoders;
using PeftAlign.Plugins;
using PeftAlign.Torch;

namespace PeftAlign.Host.Jobs;

/// <param name="Spec">What to do.</param>
/// <param name="Folder">Where everything goes.</param>
/// <param name="Plugins">The plugins that the plan named.</param>
/// <param name="Logger">Goes to the job's log.</param>
/// <param name="Progress">(done, total, text) to the executor.</param>
/// <param name="Cancellation">Fires on a signal and when the executor is gone.</param>
internal sealed record JobContext(JobSpec Spec, Running.JobFolder Folder, PluginCatalogue Plugins, ILogger Logger, Action<long, long, string> Progress, CancellationToken Cancellation)
    : IDatasets
{
    /// <summary>The base model that this process has at hand.</summary>
    internal KeptModel Kept { get; init; } = new();

    /// <summary>What the job takes.</summary>
    internal JobTime Time { get; init; } = new();

    /// <summary>A line for the user while the job works.</summary>
    internal Action<string> Say { get; init; } = _ => { };

    /// <summary>A line in the job's log.</summary>
    internal void Warn(string warning) => Logger.LogWarning("{Warning}", warning);

    /// <summary>Hears of data sets with fewer rows than their `take`; null = the job's log.</summary>
    internal Action<string>? Fewer { get; init; }

    /// <summary>Who hears of the job's numbers; null where nobody does.</summary>
    internal Trackers? Trackers { get; init; }

    /// <summary>Where to compute; libtorch is opened by asking.</summary>
    /// <exception cref="UserErrorException">The device that was asked for is not there.</exception>
    internal torch.Device Device => device.Value;

    /// <summary>The same, if the job asked for it; null for work that needs none.</summary>
    internal torch.Device? UsedDevice => device.IsValueCreated ? device.Value : null;

    private readonly Lazy<torch.Device> device = new(() => ComputeDevice.Of(Spec.Device));

    /// <summary>The judges that benchmarks name.</summary>
    internal JudgeDesk Judges => judges ??= new JudgeDesk(this);

    private JudgeDesk? judges;

    /// <summary>The models that readers name.</summary>
    internal ModelDesk Models => models ??= new ModelDesk(this);

    private ModelDesk? models;

    /// <summary>In their place for benchmarks and readers; null = they themselves.</summary>
    internal IModels? OtherModels { get; init; }

    /// <summary>In the judges' place for readers; null = they themselves.</summary>
    internal IJudges? OtherJudges { get; init; }

    /// <summary>Makes what a resolved contract {"name", "options"} names.</summary>
    internal T Create<T>(JsonNode contract) where T : class
    {
        var name = (string)contract["name"]!;
        var options = contract["options"]?.DeepClone().AsObject() ?? [];
        var schema = Plugins.Find(ContractKinds.Of(typeof(T))!, name).Contract.Options;
        schema.ReplacePaths(options, Spec.FullPath);
        return Plugins.Create<T>(name, options, new Lent(this));
    }

    /// <summary>The records of a resolved dataset.</summary>
    public IEnumerable<DataRecord> Open(DatasetReference dataset)
    {
        var definition = dataset.Definition;
        if (definition["made"] is { } made) return MakeDatasetJob.Read(Folder.Sibling((string)made["job"]!));
        if (definition["mixture"] is not null) return MixedData.Sequence(MixedData.Parts(this, definition));
        var records = Rows(Create<IDatasetReader>(definition["reader"]!), (string?)definition["split"]);
        if (definition["map"] is JsonObject { Count: > 0 } map) records = records.Select(record => Mapped(record, map));
        return definition["take"] is { } take ? Taken(records, (int)take, definition) : records;
    }

    private IEnumerable<DataRecord> Taken(IEnumerable<DataRecord> records, int take, JsonObject dataset)
    {
        var rows = 0;
        foreach (var record in records.Take(take))
        {
            rows++;
            yield return record;
        }
        SayIfFewer(dataset, rows, take);
    }

    /// <summary>Says where a data set has fewer rows than its `take`.</summary>
    /// <param name="dataset">Its definition.</param>
    /// <param name="rows">Those that are taken.</param>
    /// <param name="take">Those that are asked for.</param>
    /// <param name="areAll">Whether there are no others; else a part of a mixture is used up.</param>
    internal void SayIfFewer(JsonObject dataset, int rows, int take, bool areAll = true)
    {
        if (rows >= take) return;
        var name = (string?)dataset["reader"]?["options"]?["path"] ?? (string?)dataset["reader"]?["name"] ?? "a mixture";
        (Fewer ?? Warn)(areAll ? $"take: {take} rows of {name} are asked for and {rows} are there, which are all used; lower take, or leave it out"
            : $"take: {take} rows of {name} are asked for, and after {rows} a part has no row left that its proportion asks for; lower take, change the proportions, or leave it out");
    }

    private static IEnumerable<DataRecord> Rows(IDatasetReader reader, string? split)
    {
        var row = 0L;
        foreach (var record in reader.Read(split) ?? throw new BrokenContractException(reader, "Read gave null", "a sequence of rows is asked for, empty where there are none"))
        {
            row++;
            yield return record?.Fields is not null ? record : throw new BrokenContractException(reader, $"Read gave null as {(record is null ? $"row {row}" : $"the fields of row {row}")}", "every row must be a DataRecord with its fields");
        }
    }

    // Our column names -> the file's. Other columns stay, and a column that is mapped away is gone.
    private static DataRecord Mapped(DataRecord record, JsonObject map)
    {
        var fields = record.Fields.DeepClone().AsObject();
        foreach (var (_, theirs) in map)
            if (!record.Fields.ContainsKey((string)theirs!)) throw record.Wrong((string)theirs!, "there, since 'map' names it");
        foreach (var (_, theirs) in map) fields.Remove((string)theirs!);
        foreach (var (ours, theirs) in map) fields[ours] = record.Fields[(string)theirs!]?.DeepClone();
        return record with { Fields = fields };
    }

    internal List<DataRecord> Records(JsonNode dataset) => Open(new DatasetReference(dataset.AsObject())).ToList();

    /// <summary>The records of a resolved dataset, source by source.</summary>
    internal IReadOnlyList<DataPart> Parts(JsonNode dataset) => MixedData.Parts(this, dataset.AsObject());

    /// <summary>What the job lends to instances that it makes through others.</summary>
    internal IPluginContext Context => new Lent(this);

    private sealed class Lent(JobContext job) : IPluginContext
    {
        public ILogger Logger => job.Logger;

        public string Folder => "";

        public object? GetService(Type type) =>
            type == typeof(IDatasets) ? job
            : type == typeof(IJudges) ? job.OtherJudges ?? job.Judges
            : type == typeof(IModels) ? job.OtherModels ?? job.Models
            : type == typeof(torch.Device) ? job.Device
            : type == typeof(ModelArchitectures) ? PluginArchitectures.Of(job.Plugins)
            : null;
    }
}
