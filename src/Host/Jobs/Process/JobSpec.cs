// job.json: everything that a job process is given. Options are the plan's canonical JSON.

using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Host.Running;

namespace PeftAlign.Host.Jobs;

/// <param name="Id">The plan's id.</param>
/// <param name="Kind">make-model, train, evaluate ...</param>
/// <param name="Label">How people name it.</param>
/// <param name="Options">All that it needs; paths as the manifest writes them, other jobs as {"job": ID}.</param>
/// <param name="Root">Folder that relative paths start from.</param>
/// <param name="Threads">Processor threads.</param>
/// <param name="Plugins">Folders of the plugins that it may load.</param>
internal sealed record JobSpec(string Id, string Kind, string Label, JsonObject Options, string Root, int Threads, IReadOnlyList<string> Plugins)
{
    /// <summary>Points of a training that others need: "step:100", "epoch:3".</summary>
    public IReadOnlyList<string> Keep { get; init; } = [];

    /// <summary>The last point of a training that is needed; empty for its end.</summary>
    public string Until { get; init; } = "";

    /// <summary>model, dataset, method, seed ... as far as they apply.</summary>
    public IReadOnlyDictionary<string, string> Axes { get; init; } = new Dictionary<string, string>();

    /// <summary>Where the job's numbers go besides its own files.</summary>
    public IReadOnlyList<TrackerSpec> Trackers { get; init; } = [];

    /// <summary>cpu, cuda or cuda:N; null = the first GPU that there is when the job runs, else the processor.</summary>
    public string? Device { get; init; }

    /// <summary>Continue from a checkpoint of another machine kind, libtorch or thread count although numbers may then differ.</summary>
    public bool Inexact { get; init; }

    /// <summary>Hashes of the program's and the plugins' files, by name: recorded in the result.</summary>
    public IReadOnlyDictionary<string, string> MadeWith { get; init; } = new Dictionary<string, string>();

    /// <summary>Files and folders that it reads, with the hashes of their contents; null in specs of older versions.</summary>
    public IReadOnlyList<JobInput>? Inputs { get; init; }

    /// <summary>Weights that it reads through other jobs: the base under an adapter that another job trained.</summary>
    public IReadOnlyList<JobInput>? Beneath { get; init; }

    /// <summary>Where hashes of files are remembered.</summary>
    public string Hashes { get; init; } = "";

    private static readonly JsonSerializerOptions Format = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower, WriteIndented = true };

    internal static JobSpec Read(JobFolder folder) =>
        Parsed(folder) ?? throw new InvalidDataException($"{folder.Spec} is empty");

    private static JobSpec? Parsed(JobFolder folder) => JsonSerializer.Deserialize<JobSpec>(File.ReadAllText(folder.Spec), Format);

    /// <summary>What a job that was begun was told; null where there is none, or none that can be read: then it is written anew.</summary>
    internal static JobSpec? Begun(JobFolder folder)
    {
        try
        {
            return File.Exists(folder.Spec) ? Parsed(folder) : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    internal void Write(JobFolder folder) => RunFolder.Write(folder.Spec, JsonSerializer.Serialize(this, Format) + "\n");

    /// <summary>A path of the options as a full path.</summary>
    internal string FullPath(string path) => Path.GetFullPath(path, Root);
}

/// <param name="Place">Where the options name it, such as policy.weights.</param>
/// <param name="Path">As the options name it.</param>
/// <param name="Sha256">Of its content; empty where it cannot change the result.</param>
internal sealed record JobInput(string Place, string Path, string Sha256)
{
    /// <summary>What tells without reading whether it was changed since it was planned with; null = nobody looked at its content.</summary>
    public string? Stamp { get; init; }

    /// <summary>Full paths of the files that its task files name.</summary>
    public IReadOnlyList<string> Named { get; init; } = [];

    /// <summary>An input of the plan as planning saw it.</summary>
    internal static JobInput Of(Core.PlanInput input, ContentHashes? hashes) => new(input.Place, input.Path, input.Hash)
    {
        Stamp = hashes?.Seen(input.Path)?.Stamp,
        Named = hashes?.Seen(input.Path)?.Named ?? [],
    };
}
