// Finds folders of models that cannot be loaded, before any job starts: a download that was cut off ends its jobs after others. Headers are
// read and no weights; whether these fit config.json is for jobs to say, which know the plugins' architectures.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Core;
using PeftAlign.Models.Checkpoints;

namespace PeftAlign.Host.Running;

/// <param name="root">The manifest's folder.</param>
/// <param name="mayMiss">Whether weights may be fetched later.</param>
internal sealed class PlannedModels(string root, bool mayMiss)
{
    /// <summary>The folders that jobs load, as the manifest writes them, each with what is wrong with it.</summary>
    internal IEnumerable<(string Folder, string Message)> Faults(IEnumerable<PlanJob> jobs) =>
        jobs.SelectMany(job => Loaded(JsonNode.Parse(job.Options))).Distinct().Select(folder => (folder, Message: Fault(Path.GetFullPath(folder, root)))).Where(fault => fault.Message is not null).Select(fault => (fault.folder, fault.Message!));

    private static IEnumerable<string> Loaded(JsonNode? node) => node switch
    {
        JsonArray list => list.SelectMany(Loaded),
        JsonObject entries => entries.SelectMany(entry => entry is { Key: "weights", Value: JsonValue value } && value.TryGetValue<string>(out var folder) ? [folder] : Loaded(entry.Value)),
        _ => [],
    };

    private string? Fault(string folder)
    {
        if (!Directory.Exists(folder)) return null; // a file is refused by who loads it; what is not there yet is planned by its name
        try
        {
            ModelConfig.Open(folder);
            if (mayMiss && !CheckpointFolder.HasWeights(folder)) return null;
            using var weights = CheckpointFolder.Open(folder);
            return null;
        }
        catch (UserErrorException e)
        {
            return e.Message;
        }
    }
}
