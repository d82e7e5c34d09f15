// job.json: what one job process is told. Options are the plan's canonical JSON.

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
    private static readonly JsonSerializerOptions Format = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower, WriteIndented = true };

    internal static JobSpec Read(JobFolder folder) =>
        JsonSerializer.Deserialize<JobSpec>(File.ReadAllText(folder.Spec), Format) ?? throw new InvalidDataException($"{folder.Spec} is empty");

    internal void Write(JobFolder folder) => RunFolder.Write(folder.Spec, JsonSerializer.Serialize(this, Format) + "\n");

    /// <summary>A path of the options as a full path.</summary>
    internal string FullPath(string path) => Path.GetFullPath(path, Root);
}
